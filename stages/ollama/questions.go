package ollama

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/metrics"
)

// question is one of the guide's six tests.
type question struct {
	name, prompt, expected string
	tokens                 int // at most, in the answer
	required               bool
	// check returns why an answer is wrong, "" when it is right.
	check func(output string) string
}

// Lengths of answers in tokens.
const (
	shortAnswer = 96
	longAnswer  = 400
	tinyAnswer  = 16 // of a model that has learnt nothing
)

// questions are the six: three of general ability, which a model that has only read requests fails,
// and the three judgements. Each kind may be required.
func questions(c Config) []question {
	general := c.General && c.Scale != "tiny"
	all := []question{
		{"arithmetic", "2+2はいくつですか。簡潔に答えてください。", "contains 4", shortAnswer, general, contains("4", "４", "四")},
		{"definition", "SO(8)群とは何かを一文で説明してください。", "one sentence on rotations in eight dimensions", shortAnswer, general, contains("回転", "8次元", "八次元", "rotation")},
		{"long form", "防衛産業で閉域LLMが重要である理由を詳しく説明してください。", "coherent Japanese that does not run in circles", longAnswer, general, coherent},
	}
	for _, t := range dataset.TripleTests() {
		all = append(all, question{t.Name, t.Prompt, t.Label, shortAnswer, c.Triples && c.Scale != "tiny", judges(t.Label)})
	}
	if c.Scale == "tiny" {
		for i := range all {
			all[i].tokens = tinyAnswer
		}
	}
	return all
}

func contains(any ...string) func(string) string {
	return func(output string) string {
		for _, want := range any {
			if strings.Contains(output, want) {
				return ""
			}
		}
		return fmt.Sprintf("the answer holds none of %q", any)
	}
}

func judges(label string) func(string) string {
	return func(output string) string {
		first, _, _ := strings.Cut(output, "\n")
		if first+"\n" == dataset.FirstLine(label) {
			return ""
		}
		return fmt.Sprintf("the judgement is %q, not %s", first, label)
	}
}

// minLong is the number of characters from which an answer counts as long, minJapanese the share
// of kana and kanji in it.
const (
	minLong     = 80
	minJapanese = 0.5
)

func coherent(output string) string {
	if l := metrics.MeasureLongform(output); l.Oscillation {
		return "it runs in circles: " + strings.Join(l.Why, ", ")
	}
	japanese, all := 0, 0
	for _, r := range output {
		all++
		if unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han) {
			japanese++
		}
	}
	if all < minLong {
		return fmt.Sprintf("it has only %d characters", all)
	}
	if float64(japanese) < minJapanese*float64(all) {
		return "it is not Japanese"
	}
	return ""
}
