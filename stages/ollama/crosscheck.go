package ollama

import (
	"context"
	"math"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/quant"
	"github.com/so8t/so8t/stages/internal/scoring"
)

// CrossCheck holds the server's scores of the judgement's first token against our own inference.
type CrossCheck struct {
	Prompts int `json:"prompts"`
	// Scores is how many log-probabilities were compared: the server tells the 20 most probable.
	Scores int `json:"scores"`
	// MaxDifference is the largest between two of them, in nats; Tolerance is the largest allowed.
	MaxDifference float64 `json:"max_difference"`
	Tolerance     float64 `json:"tolerance"`
}

// Tolerances of the cross-check in nats, by how the weights are kept. Servers keep keys and values in
// F16, and with quantised weights they quantise the activations as well: measured on a small model
// 0.004, 0.08 and 0.14.
const (
	toleranceFloat = 0.02
	toleranceQ8    = 0.25
	toleranceK     = 0.5
	// deep models, of this many layers or more, add up more of it.
	deep       = 16
	deepFactor = 4
)

// tolerance is the one of the file, unless the user has set one.
func (c Config) tolerance(layers int) (float64, error) {
	if c.Tolerance > 0 {
		return c.Tolerance, nil
	}
	f, err := ggufio.Open(c.GGUF)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	t := toleranceFloat
	for _, info := range f.Tensors {
		switch info.Type {
		case quant.F32, quant.F16, quant.BF16:
		case quant.Q8_0:
			t = max(t, toleranceQ8)
		default:
			t = toleranceK
		}
	}
	if layers >= deep {
		t *= deepFactor
	}
	return t, nil
}

// crossCheck compares the scores after the part of the first line that every judgement begins with.
func (c *client) crossCheck(ctx context.Context, model string, config Config) (CrossCheck, error) {
	be, err := compute.Open("cpu", 0)
	if err != nil {
		return CrossCheck{}, err
	}
	defer func() { _ = be.Close() }()
	var prompts []beginning
	longest := 0
	judge, err := scoring.Open(be, config.GGUF, nil, crossCheckTokens)
	if err != nil {
		return CrossCheck{}, err
	}
	defer func() { _ = judge.Close() }()
	for _, test := range dataset.TripleTests() {
		b, err := beginningOf(judge.Template(), test.Prompt)
		if err != nil {
			return CrossCheck{}, err
		}
		prompts, longest = append(prompts, b), max(longest, len(b.ids))
	}
	if longest > crossCheckTokens {
		return CrossCheck{}, plugins.Errorf(plugins.BadInput, "a prompt of the cross-check has %d tokens, more than %d: set cross_check: false", longest, crossCheckTokens)
	}
	result := CrossCheck{}
	if result.Tolerance, err = config.tolerance(judge.Runner().Config.Layers); err != nil {
		return result, err
	}
	for _, b := range prompts {
		if err := c.compareScores(ctx, model, judge, b, &result); err != nil {
			return result, err
		}
	}
	return result, nil
}

// crossCheckTokens bounds a prompt of the cross-check: a tokenizer may make a token of each byte.
const crossCheckTokens = 512

// beginning is a prompt with what every judgement begins with behind it.
type beginning struct {
	text string
	ids  []int32
}

func beginningOf(template *chat.Template, prompt string) (beginning, error) {
	messages := []chat.Message{{Role: "user", Content: prompt}}
	var lines []string
	for _, label := range dataset.Labels {
		lines = append(lines, dataset.FirstLine(label))
	}
	encoded, err := template.Lines(messages, lines)
	if err != nil {
		return beginning{}, err
	}
	asked, err := template.Prompt(messages)
	if err != nil {
		return beginning{}, err
	}
	ids := encoded[0].IDs[:encoded[0].From]
	return beginning{chat.Render(messages, true) + template.Tokenizer().Decode(ids[len(asked):]), ids}, nil
}

func (c *client) compareScores(ctx context.Context, model string, judge *scoring.Judge, b beginning, result *CrossCheck) error {
	theirs, err := c.scores(ctx, model, b.text)
	if err != nil {
		return c.explain("asking for scores", err)
	}
	if theirs.PromptCount != len(b.ids) {
		return plugins.Errorf(plugins.Gate, "the server counts %d tokens in %q of %d: another tokenizer", theirs.PromptCount, b.text, len(b.ids))
	}
	if len(theirs.Scores) == 0 {
		return nil // it ends the text there, and servers score no end
	}
	logits, err := judge.Runner().LastLogits(b.ids)
	if err != nil {
		return err
	}
	norm, tokens := logSum(logits), byBytes(judge)
	result.Prompts++
	for _, s := range theirs.Scores[0].Top {
		id, ok := tokens[text(s.Bytes)]
		if !ok || strings.Contains(text(s.Bytes), "\uFFFD") {
			continue // a part of a character has no text of its own
		}
		difference := math.Abs(float64(logits[id]) - norm - s.LogProb)
		result.MaxDifference = max(result.MaxDifference, difference)
		if result.Scores++; !(difference <= result.Tolerance) {
			return plugins.Errorf(plugins.Gate, "after %q the server gives token %q log-probability %.4f, our own inference on the same file %.4f: more than %.3g apart",
				b.text, text(s.Bytes), s.LogProb, float64(logits[id])-norm, result.Tolerance)
		}
	}
	return nil
}

func logSum(logits []float32) float64 {
	top := float64(logits[phi3.Greedy(logits)])
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}

// byBytes finds a token by its text.
func byBytes(judge *scoring.Judge) map[string]int32 {
	tok := judge.Template().Tokenizer()
	tokens := make(map[string]int32, tok.Size())
	for id := range int32(tok.Size()) {
		tokens[tok.TokenBytes(id)] = id
	}
	return tokens
}

func text(bytes []int) string {
	b := make([]byte, len(bytes))
	for i, v := range bytes {
		b[i] = byte(v)
	}
	return string(b)
}
