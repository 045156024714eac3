package train

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/phi3"
)

// otherBase writes a base of another shape beside the project's tokenizer.
func otherBase(t *testing.T, dir, dtype string, change func(*phi3.Config)) {
	t.Helper()
	c, err := phi3.ReadConfig(filepath.Join(dir, "base"))
	must(t, err)
	change(c)
	w, err := phi3.NewWeights(c, 3)
	must(t, err)
	must(t, w.WriteFolder(filepath.Join(dir, "base"), dtype))
}

// Odd rows, odd models: each trains, to finite numbers, or is refused with a word about why.
func TestRun_OddInputs(t *testing.T) {
	chat := func(user, assistant string) string {
		return fmt.Sprintf(`{"messages":[{"role":"user","content":%q},{"role":"assistant","content":%q}]}`+"\n", user, assistant)
	}
	for name, c := range map[string]struct {
		train, validation string // "": the project's own
		base              func(t *testing.T, dir string)
		more              map[string]any
		refused           string
	}{
		"one row":              {train: chat("港は。", "はい。")},
		"one row, many a step": {train: chat("港は。", "はい。"), more: map[string]any{"batch": 7, "accumulation": 3}},
		"one-letter answers":   {train: chat("a", "b") + chat("", "b")},
		"empty answer":         {train: chat("a", "")},
		"empty validation":     {validation: "\n", refused: "no row"},
		"no answer at all":     {train: `{"messages":[{"role":"user","content":"a"}]}` + "\n", refused: "anything to learn"},
		"untied head": {base: func(t *testing.T, dir string) {
			otherBase(t, dir, "float32", func(c *phi3.Config) { c.TiedEmbeddings = false })
		}},
		"bf16":       {base: func(t *testing.T, dir string) { otherBase(t, dir, "bfloat16", func(*phi3.Config) {}) }},
		"f16":        {base: func(t *testing.T, dir string) { otherBase(t, dir, "float16", func(*phi3.Config) {}) }},
		"unused ids": {base: func(t *testing.T, dir string) { otherBase(t, dir, "float32", func(c *phi3.Config) { c.Vocab += 37 }) }},
		"long factors": {base: func(t *testing.T, dir string) {
			otherBase(t, dir, "float32", func(c *phi3.Config) {
				c.OriginalMaxPositions = 16
				c.Rope = &phi3.LongRope{Short: []float64{1, 1, 1}, Long: []float64{1, 2, 4}, AttentionFactor: phi3.DefaultAttentionFactor(256, 16)}
			})
		}},
		"width of 12":           {base: func(t *testing.T, dir string) { otherBase(t, dir, "float32", func(c *phi3.Config) { c.Hidden = 12 }) }, refused: "12"},
		"width of 12, no gates": {base: func(t *testing.T, dir string) { otherBase(t, dir, "float32", func(c *phi3.Config) { c.Hidden = 12 }) }, more: map[string]any{"gate": map[string]any{"enabled": false}}},
		"too few ids":           {base: func(t *testing.T, dir string) { otherBase(t, dir, "float32", func(c *phi3.Config) { c.Vocab -= 40 }) }, refused: "vocab_size of config.json is"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := project(t, 6)
			for file, text := range map[string]string{"train.jsonl": c.train, "validation.jsonl": c.validation} {
				if text != "" {
					must(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644))
				}
			}
			if c.base != nil {
				c.base(t, dir)
			}
			more := map[string]any{"steps": 3, "length": 256}
			for k, v := range c.more {
				more[k] = v
			}
			w := with(t, dir, more)
			report, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: w})
			must(t, err)
			result, err := Stage{}.Run(t.Context(), attempt(t, w))
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) || len(report.Problems) == 0 {
					t.Errorf("check says %v, run %v; want a word about %s", report.Problems, err, c.refused)
				}
				return
			}
			if err != nil || len(report.Problems) > 0 || math.IsNaN(result.Metrics["loss"]) || result.Metrics["loss"] == 0 {
				t.Errorf("problems %v, %v, metrics %v", report.Problems, err, result.Metrics)
			}
		})
	}
}

// Few rows make one step, and a warm-up of a tenth of it is all of it.
func TestRun_WarnsWhenNothingIsLearnt(t *testing.T) {
	dir := project(t, 6)
	for _, c := range []struct {
		more  map[string]any
		warns bool
	}{
		{map[string]any{"steps": 1}, true}, {map[string]any{"steps": 1, "warmup": 0}, false}, {map[string]any{"steps": 2}, false},
	} {
		a := attempt(t, with(t, dir, c.more))
		warned := false
		a.Emit = func(e plugins.Event) {
			if w, ok := e.(plugins.Warning); ok {
				warned = warned || strings.Contains(w.Message, "nothing is learnt")
			}
		}
		_, err := Stage{}.Run(t.Context(), a)
		must(t, err)
		if warned != c.warns {
			t.Errorf("%v: warned %v", c.more, warned)
		}
	}
}
