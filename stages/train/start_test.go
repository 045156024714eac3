package train

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// run runs the stage and returns its output folder.
func run(t *testing.T, dir string, more map[string]any) string {
	t.Helper()
	a := attempt(t, with(t, dir, more))
	_, err := Stage{}.Run(t.Context(), a)
	must(t, err)
	return a.OutputDir
}

// A run that goes on from an adapter begins with its values: at rate 0 the same files come
// out, its rank, scale, targets and gates included, whatever the parameters say.
func TestRun_GoesOnFromAnAdapter(t *testing.T) {
	dir := project(t, 6)
	first := filepath.Join(run(t, dir, map[string]any{"lora": map[string]any{"r": 3, "alpha": 5, "rslora": true, "targets": []string{".*o_proj", "mlp.down_proj"}}}), adapterDir)
	a, err := so8t.ReadAdapter(first)
	must(t, err)
	if a.LoRA.Scale() != 5/math.Sqrt(3) || len(a.LoRA.Modules) != 2 {
		t.Fatalf("rslora: scale %v, %d modules", a.LoRA.Scale(), len(a.LoRA.Modules))
	}
	more := map[string]any{"lora": map[string]any{"from": first, "dropout": 0.05}, "lr": 0, "weight_decay": 0, "steps": 1, "length": 256}
	rep, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: with(t, dir, more)})
	must(t, err)
	if len(rep.Problems) > 0 {
		t.Fatalf("problems %+v", rep.Problems)
	}
	again := filepath.Join(run(t, dir, more), adapterDir)
	for _, name := range []string{"adapter_model.safetensors", "adapter_config.json", "so8t_gate.safetensors"} {
		x, err := os.ReadFile(filepath.Join(first, name))
		must(t, err)
		y, err := os.ReadFile(filepath.Join(again, name))
		must(t, err)
		if string(x) != string(y) {
			t.Errorf("%s is another", name)
		}
	}
	for _, more := range []map[string]any{
		{"lora": map[string]any{"from": filepath.Join(dir, "nowhere")}, "length": 256},
		{"lora": map[string]any{"from": first}, "gate": map[string]any{"enabled": false}, "length": 256},
	} {
		rep, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: with(t, dir, more)})
		must(t, err)
		if len(rep.Problems) != 1 || rep.Problems[0].Field != "lora.from" {
			t.Errorf("%v: problems %+v", more, rep.Problems)
		}
	}
}

// The first row is shown as the model sees it, with the assistant's words marked.
func TestRun_ShowsTheFirstRow(t *testing.T) {
	dir := project(t, 6)
	a := attempt(t, with(t, dir, map[string]any{"steps": 1}))
	logged := ""
	a.Emit = func(e plugins.Event) {
		if l, ok := e.(plugins.LogLine); ok {
			logged += l.Message
		}
	}
	_, err := Stage{}.Run(t.Context(), a)
	must(t, err)
	b, err := os.ReadFile(filepath.Join(a.OutputDir, sampleFile))
	must(t, err)
	want := "<|user|>港0の計画を説明してください。<|end|><|assistant|>⟦判定: ALLOW\n理由: 公開の情報です。<|end|>⟧<|endoftext|>\n"
	if text := string(b); !strings.HasSuffix(text, want) || !strings.Contains(logged, want) {
		t.Errorf("sample %q, log %q", text, logged)
	}
}

func TestRun_StoragesTrain(t *testing.T) {
	dir := project(t, 6)
	for _, storage := range []string{"f32", "bf16", "int8", "nf4"} {
		a, err := so8t.ReadAdapter(filepath.Join(run(t, dir, map[string]any{"steps": 2, "storage": storage, "group_by_length": true, "schedule": "wsd"}), adapterDir))
		must(t, err)
		moved := false
		for _, v := range a.LoRA.Modules[0].B {
			moved = moved || v != 0
		}
		if !moved {
			t.Errorf("%s: nothing was learnt", storage)
		}
	}
}

// A limit that the backend's buffers do not fit in halves the micro-batches: it is warned of,
// counted, and the curve is that of the whole memory but for rounding.
func TestRun_MemoryLimit(t *testing.T) {
	dir := project(t, 64)
	more := map[string]any{"batch": 64, "accumulation": 1, "steps": 4, "lora": map[string]any{"r": 2, "alpha": 4, "dropout": 0.1}}
	losses := func() (out []float64, halvings float64, warned string) {
		a := attempt(t, with(t, dir, more))
		a.Emit = func(e plugins.Event) {
			switch e := e.(type) {
			case plugins.Metric:
				if e.Name == "loss" {
					out = append(out, e.Value)
				}
			case plugins.Warning:
				warned += e.Message
			}
		}
		res, err := Stage{}.Run(t.Context(), a)
		must(t, err)
		return out, res.Metrics["micro_batch_halvings"], warned
	}
	want, none, _ := losses()
	more["memory"] = 3
	got, halvings, warned := losses()
	if none != 0 || halvings < 1 || !strings.Contains(warned, "out of memory") || len(got) != 4 {
		t.Fatalf("%v and %v halvings, warned %q, losses %v", none, halvings, warned, got)
	}
	for i := range want {
		if math.Abs(got[i]/want[i]-1) > 1e-5 {
			t.Errorf("step %d: loss %v, without a limit %v", i+1, got[i], want[i])
		}
	}
}

// What a run held at most is what was planned for it, though its steps differ in size: not
// more than a tenth above, and not far below, since every micro-batch is planned as long as
// the longest row.
func TestRun_HoldsWhatWasPlanned(t *testing.T) {
	dir := project(t, 64)
	a := attempt(t, with(t, dir, map[string]any{"batch": 16, "accumulation": 1, "epochs": 20}))
	res, err := Stage{}.Run(t.Context(), a)
	must(t, err)
	c, err := parse(a.With)
	must(t, err)
	d, err := load(t.Context(), c)
	must(t, err)
	m, err := phi3.ReadConfig(c.Base)
	must(t, err)
	p, err := plan(c, c.adapter(nil), m, d.longest)
	must(t, err)
	if ratio := res.Metrics["peak_memory_bytes"] / float64(p.Buffers()); ratio > 1.1 || ratio < 0.6 {
		t.Errorf("held %v bytes, planned %d (%.2f)", res.Metrics["peak_memory_bytes"], p.Buffers(), ratio)
	}
}

// What config.json says and nobody here reads is no secret.
func TestRun_WarnsOfUnknownKeysOfTheBase(t *testing.T) {
	dir := project(t, 6)
	path := filepath.Join(dir, "base", "config.json")
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(strings.Replace(string(text), "{", `{"mystery": 1,`, 1)), 0o644))
	a := attempt(t, with(t, dir, map[string]any{"steps": 1}))
	warned := ""
	a.Emit = func(e plugins.Event) {
		if w, ok := e.(plugins.Warning); ok {
			warned += w.Message
		}
	}
	_, err = Stage{}.Run(t.Context(), a)
	must(t, err)
	if !strings.Contains(warned, "mystery") {
		t.Errorf("warned %q, not of the key", warned)
	}
}
