package train

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/loop"
)

func TestConfig_DefaultsAreTheGuides(t *testing.T) {
	c, err := parse([]byte(`{"base":"b","dataset":"d"}`))
	must(t, err)
	every, err := c.Checkpoint.Interval()
	must(t, err)
	pet, err := c.pet()
	must(t, err)
	for name, ok := range map[string]bool{
		"batch 2 × 8":     c.Batch == 2 && c.Accumulation == 8,
		"3 epochs of 512": c.Epochs == 3 && c.Length == 512 && c.Overflow == "raise",
		"lr 2e-4 cosine":  c.LR == 2e-4 && c.Schedule == "cosine" && c.Clip == 1,
		"lora":            c.Lora.R == 64 && c.Lora.Alpha == 128 && c.Lora.Dropout == 0.05 && len(c.Lora.Targets) == 4,
		"gate":            c.gated() == "all" && c.Gate.LRScale == 10 && c.Gate.Clip == "own",
		"pet":             pet.At(0.29) == 0.01 && pet.At(0.3) == 0.05 && pet.At(0.7) == 0.1,
		"checkpoint":      every == 3*time.Minute && c.Checkpoint.Keep == 5,
	} {
		if !ok {
			t.Errorf("%s: %+v", name, c)
		}
	}
	// The guide's own figures: 4,999 rows are 938 steps of 16, the first tenth rising.
	if n := c.steps(4999, 4999*50, 4e9); n != 938 {
		t.Errorf("%d steps, want 938", n)
	}
	if s := c.schedule(938); s != (loop.Schedule{Kind: "cosine", Peak: 2e-4, Warmup: 94, Steps: 938}) {
		t.Errorf("schedule %+v", s)
	}
}

func TestConfig_Steps(t *testing.T) {
	for _, c := range []struct {
		with       string
		rows       int
		parameters int64
		want       int64
	}{
		{`{"batch":4,"accumulation":2,"epochs":1}`, 16, 1e6, 2},
		{`{"batch":4,"accumulation":2,"epochs":1}`, 17, 1e6, 3},
		{`{"batch":4,"accumulation":2,"epochs":0.5}`, 16, 1e6, 1},
		{`{"batch":4,"accumulation":2,"epochs":1}`, 1, 1e6, 1},
		{`{"batch":4,"steps":7}`, 1000, 1e6, 7},
		{`{"scale":"tiny","batch":16,"accumulation":1,"steps":7,"checkpoint":{"every":"1h"}}`, 1000, 690_000, tinySteps},
		{`{"scale":"tiny","batch":16,"accumulation":1}`, 1000, 6_900_000, tinySteps / 10},
		{`{"scale":"tiny"}`, 1000, 4e9, tinyLeast},
	} {
		got, err := parse([]byte(c.with))
		must(t, err)
		if n := got.steps(c.rows, c.rows*750/16, c.parameters); n != c.want {
			t.Errorf("%s on %d rows: %d steps, want %d", c.with, c.rows, n, c.want)
		}
		if every, err := got.Checkpoint.Interval(); got.Scale == "tiny" && (err != nil || every != 500*time.Millisecond) {
			t.Errorf("tiny saves every %v (%v)", every, err)
		}
	}
}

// What does not change the bytes stays out of the fingerprint; nothing else does.
func TestDescribe_SameBytesFields(t *testing.T) {
	var schema struct {
		Properties map[string]json.RawMessage
	}
	must(t, json.Unmarshal(Stage{}.Describe().With, &schema))
	var same []string
	var walk func(prefix string, raw json.RawMessage)
	walk = func(prefix string, raw json.RawMessage) {
		var f struct {
			Same       bool `json:"x-so8t-same-bytes"`
			Properties map[string]json.RawMessage
		}
		must(t, json.Unmarshal(raw, &f))
		if f.Same {
			same = append(same, prefix)
		}
		for name, sub := range f.Properties {
			walk(prefix+"."+name, sub)
		}
	}
	for name, raw := range schema.Properties {
		walk(name, raw)
	}
	slices.Sort(same)
	if !slices.Equal(same, []string{"checkpoint.every", "checkpoint.keep"}) {
		t.Errorf("fields out of the fingerprint: %v", same)
	}
	if c := (Stage{}).Describe(); c.Kind != plugins.KindStage || !c.Checkpoints {
		t.Errorf("description %+v", c)
	}
}
