package plugintest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/so8t/so8t/plugins"
)

// prepare makes the parameters of a run that should succeed: those given, or, where it knows how,
// inputs of its own.
func (s *suite) prepare() error {
	if s.given != nil {
		s.good = s.schema.filled(s.given)
		return nil
	}
	s.guessed = s.description.Kind != plugins.KindEvaluator
	known := map[string]any{}
	for _, name := range s.schema.Required {
		content := s.content(name)
		if content == nil {
			continue
		}
		path := filepath.Join(s.project(), name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
		known[name] = path
	}
	if names := s.schema.unknown(known); len(names) > 0 {
		s.why = fmt.Sprintf("no input is known for the required parameter(s) %s; %s", strings.Join(names, ", "), giveThem)
		return nil
	}
	s.good = s.schema.filled(known)
	return nil
}

// giveThem is what an author can do about parameters that the suite does not know.
const giveThem = "give them with --with NAME=VALUE"

// content is what a required parameter that is an input gets; nil when it is none.
func (s *suite) content(name string) []byte {
	p := s.schema.Properties[name]
	switch {
	case p.Format != "path" || p.Type != "string":
		return nil
	case name == "predictions":
		return predictions()
	case p.MediaType == "" || strings.HasPrefix(p.MediaType, "text/"):
		return text()
	}
	return nil
}

// rows of the generated predictions: enough for a rate, few enough to read.
const rows = 60

// predictions are rows as the eval stage writes them, with every label, every model, and
// outputs that agree with the prediction and outputs that do not.
func predictions() []byte {
	labels := []string{"ALLOW", "ESCALATION", "DENY"}
	models := []string{"tuned", "base", "nogate"}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	for i := range rows {
		label, predicted := labels[i%3], labels[(i+i/7)%3]
		said := predicted
		if i%5 == 0 {
			said = label
		}
		scores, probs := map[string]float64{}, map[string]float64{}
		for _, l := range labels {
			scores[l], probs[l] = -2.5, 0.15
		}
		scores[predicted], probs[predicted] = -1, 0.7
		row := map[string]any{
			"id": fmt.Sprintf("row-%02d", i), "text": "公開資料だけで説明してください。", "label": label, "predicted": predicted, "decision": predicted,
			"scores": scores, "probs": probs, "output": "判定: " + said + "\n理由: 公開情報です。", "model": models[i/20],
			"domain": "defense", "template": "t1", "topic": "p1",
		}
		if err := enc.Encode(row); err != nil {
			panic(err) // texts and finite numbers
		}
	}
	return out.Bytes()
}

// text is a text of some lines, some of them twice, some in Japanese.
func text() []byte {
	var out bytes.Buffer
	for i := range rows {
		fmt.Fprintf(&out, "line %d: the quick brown fox, 素早い茶色の狐 %d\n", i%40, i%7)
	}
	return out.Bytes()
}
