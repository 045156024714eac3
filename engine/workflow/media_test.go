package workflow

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestParse_MediaTypes(t *testing.T) {
	makes := map[string]string{
		"rows": "application/x-ndjson", "text": "text/plain; charset=utf-8", "model": "application/x-gguf", "bytes": "application/octet-stream", "any": "",
	}
	wants := map[string]string{"jsonl": "application/jsonl", "words": "text/*", "either": "application/x-gguf, application/jsonl", "all": ""}
	fit := map[string]string{"jsonl": "rows bytes any", "words": "text bytes any", "either": "rows model bytes any", "all": "rows text model bytes any"}
	maker := &PluginSpec{}
	for name, media := range makes {
		maker.Outputs = append(maker.Outputs, OutputSpec{Name: name, MediaType: media})
	}
	properties := map[string]any{}
	for name, media := range wants {
		properties[name] = map[string]any{"type": "string", "format": "path", "x-so8t-media-type": media}
	}
	schema, err := json.Marshal(map[string]any{"type": "object", "properties": properties})
	if err != nil {
		t.Fatal(err)
	}
	describe := func(uses string) (*PluginSpec, error) {
		if uses == "maker" {
			return maker, nil
		}
		return &PluginSpec{With: schema}, nil
	}
	for field := range wants {
		for output := range makes {
			text := "version: 1\nname: w\nstages:\n  a: { uses: maker }\n  b: { uses: taker, with: { " + field + ": \"${stages.a.outputs." + output + "}\" } }\n"
			_, err := Parse("w.yaml", []byte(text), Options{Describe: describe})
			if fits := strings.Contains(" "+fit[field]+" ", " "+output+" "); fits != (err == nil) {
				t.Errorf("%s as %s: %v", output, field, err)
			}
			var problems Problems
			if errors.As(err, &problems) && (problems[0].Code != CodeWrongType || problems[0].Line != 5 || problems[0].Col < 25) {
				t.Errorf("%s as %s: %+v", output, field, problems[0])
			}
		}
	}
}
