package train

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// project is a folder with a tiny base (1 layer, 16 wide, random) and a dataset of n rows.
func project(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	labels := dataset.Labels
	var rows []dataset.Row
	var text strings.Builder
	for i := range n {
		label := labels[i%3]
		prompt := fmt.Sprintf("港%dの計画を説明してください。", i)
		rows = append(rows, dataset.Row{ID: fmt.Sprint("r", i), Label: label, Messages: []chat.Message{
			{Role: "user", Content: prompt}, {Role: "assistant", Content: dataset.Target(label, "公開の情報です。")}}})
		text.WriteString(prompt + dataset.Target(label, "公開の情報です。") + "\n")
	}
	must(t, dataset.WriteFile(filepath.Join(dir, "train.jsonl"), rows))
	must(t, dataset.WriteFile(filepath.Join(dir, "validation.jsonl"), rows[:5]))
	base := filepath.Join(dir, "base")
	must(t, os.Mkdir(base, 0o755))
	file, err := tokenizer.Train(text.String(), tokenizer.TrainConfig{Size: 320, Added: chat.ControlTokens})
	must(t, err)
	tok, err := tokenizer.Parse(file)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(base, "tokenizer.json"), file, 0o644))
	w, err := phi3.NewWeights(&phi3.Config{Hidden: 16, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 8, Intermediate: 24, Vocab: tok.Size(),
		MaxPositions: 256, OriginalMaxPositions: 256, RMSEps: 1e-5, RopeTheta: 10000, PartialRotary: 0.75, TiedEmbeddings: true, InitRange: 0.3,
		BOS: -1, Pad: -1, EOS: []int{0}}, 1)
	must(t, err)
	must(t, w.WriteFolder(base, "float32"))
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// with is the stage's parameters over a project, changed by more.
func with(t *testing.T, dir string, more map[string]any) json.RawMessage {
	t.Helper()
	m := map[string]any{
		"base": filepath.Join(dir, "base"), "dataset": filepath.Join(dir, "train.jsonl"), "validation": filepath.Join(dir, "validation.jsonl"),
		"epochs": 2, "accumulation": 2, "lr": 0.01, "lora": map[string]any{"r": 2, "alpha": 4, "dropout": 0.1},
		"checkpoint": map[string]any{"every": "1ns"}, "threads": 2,
	}
	maps.Copy(m, more)
	b, err := json.Marshal(m)
	must(t, err)
	return b
}

// attempt publishes checkpoints as plain folders checkpoints/STEP.
func attempt(t *testing.T, w json.RawMessage) *plugins.Attempt {
	t.Helper()
	dir := t.TempDir()
	a := &plugins.Attempt{Stage: "train", Run: "r", Number: 1, With: w, OutputDir: filepath.Join(dir, "out"), CheckpointDir: filepath.Join(dir, "checkpoints")}
	must(t, os.Mkdir(a.OutputDir, 0o755))
	a.Publish = func(_ context.Context, c plugins.Checkpoint, write func(string) error) (plugins.Checkpoint, error) {
		c.Path = filepath.Join(a.CheckpointDir, fmt.Sprint(c.Step))
		if err := os.MkdirAll(c.Path, 0o755); err != nil {
			return c, err
		}
		return c, write(c.Path)
	}
	return a
}

// folderBytes are the files below dir, without those that hold times.
func folderBytes(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == metricsFile || filepath.Base(filepath.Dir(path)) == chartsDir {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = string(b)
		return err
	}))
	return out
}

func TestRun_WritesAdapterCurveAndMetrics(t *testing.T) {
	a := attempt(t, with(t, project(t, 24), nil))
	var progress plugins.Progress
	series := map[string]int{}
	a.Emit = func(e plugins.Event) {
		switch e := e.(type) {
		case plugins.Progress:
			progress = e
		case plugins.Metric:
			series[e.Name]++
		}
	}
	res, err := Stage{}.Run(t.Context(), a)
	must(t, err)
	if !strings.HasPrefix(progress.Message, "loss ") {
		t.Errorf("progress says %q, not the loss", progress.Message)
	}
	progress.Message = ""
	if progress != (plugins.Progress{Done: 12, Total: 12, Unit: "step"}) || series["loss"] != 12 || series["eval_loss"] == 0 || series["gate_angle_max"] == 0 {
		t.Errorf("progress %+v, series %v", progress, series)
	}
	known := map[string]bool{}
	for _, m := range (Stage{}).Describe().Metrics {
		known[m.Name] = true
	}
	for name := range res.Metrics {
		if !known[name] {
			t.Errorf("metric %q is not described", name)
		}
	}
	if res.Metrics["gate_angle_max"] <= 0 || res.Metrics["steps"] != 12 {
		t.Errorf("metrics %v", res.Metrics)
	}
	got, err := so8t.ReadAdapter(filepath.Join(a.OutputDir, "adapter"))
	must(t, err)
	if len(got.LoRA.Modules) != 4 || len(got.Gates.Layers) != 1 || got.LoRA.Base != "base" {
		t.Errorf("adapter %+v", got)
	}
	var files []string
	for f := range folderBytes(t, a.OutputDir) {
		files = append(files, f)
	}
	slices.Sort(files)
	want := []string{"adapter/adapter_config.json", "adapter/adapter_model.safetensors", "adapter/so8t_config.json", "adapter/so8t_gate.safetensors", "curve.jsonl", "sample.txt"}
	if !slices.Equal(files, want) {
		t.Errorf("files %v, want %v", files, want)
	}
}

// The same work gives the same bytes, resumed from any checkpoint or not, and no path in them.
func TestRun_ResumedGivesTheSameBytes(t *testing.T) {
	dir := project(t, 24)
	whole := attempt(t, with(t, dir, nil))
	_, err := Stage{}.Run(t.Context(), whole)
	must(t, err)
	want := folderBytes(t, whole.OutputDir)
	for name, content := range want {
		if strings.Contains(content, filepath.Dir(dir)) {
			t.Errorf("%s holds a path", name)
		}
	}
	for _, step := range []int64{1, 5, 11} {
		a := attempt(t, with(t, dir, nil))
		a.Resume = &plugins.Checkpoint{Step: step, Path: filepath.Join(whole.CheckpointDir, fmt.Sprint(step))}
		_, err := Stage{}.Run(t.Context(), a)
		must(t, err)
		if got := folderBytes(t, a.OutputDir); !maps.Equal(got, want) {
			t.Errorf("resumed from step %d: other bytes", step)
		}
	}
}

func TestRun_StopChecksPointsAndIsCancelled(t *testing.T) {
	a := attempt(t, with(t, project(t, 24), map[string]any{"checkpoint": map[string]any{"every": "1h"}}))
	stop := make(chan struct{})
	a.Stop = stop
	var saved []int64
	a.Emit = func(e plugins.Event) {
		switch e := e.(type) {
		case plugins.Progress:
			if e.Done == 3 {
				close(stop)
			}
		case plugins.Saved:
			saved = append(saved, e.Checkpoint.Step)
		}
	}
	_, err := Stage{}.Run(t.Context(), a)
	if plugins.CodeOf(err) != plugins.Cancelled || !slices.Equal(saved, []int64{3}) {
		t.Errorf("error %v, checkpoints %v", err, saved)
	}
}

func TestRun_LongRow(t *testing.T) {
	dir := project(t, 6)
	a := attempt(t, with(t, dir, map[string]any{"length": 20}))
	if _, err := (Stage{}).Run(t.Context(), a); plugins.CodeOf(err) != plugins.BadInput || !strings.Contains(err.Error(), `row "r0"`) {
		t.Errorf("got %v, want a bad_input that names the row", err)
	}
	a = attempt(t, with(t, dir, map[string]any{"length": 60, "overflow": "truncate", "steps": 1}))
	res, err := (Stage{}).Run(t.Context(), a)
	if err != nil || res.Metrics["truncated_rows"] != 0 {
		t.Errorf("nothing to truncate: %v, %v", res.Metrics["truncated_rows"], err)
	}
	a = attempt(t, with(t, dir, map[string]any{"length": 20, "overflow": "truncate", "steps": 1}))
	var warned string
	a.Emit = func(e plugins.Event) {
		if w, ok := e.(plugins.Warning); ok {
			warned += w.Message
		}
	}
	res, err = (Stage{}).Run(t.Context(), a)
	if err != nil || res.Metrics["truncated_rows"] != 11 || !strings.Contains(warned, "11 rows") { // 6 and 5 of validation
		t.Errorf("truncated %v, warned %q, %v", res.Metrics["truncated_rows"], warned, err)
	}
}

func TestRun_AblationsTrainOneThing(t *testing.T) {
	dir := project(t, 6)
	for name, more := range map[string]map[string]any{
		"no gate": {"gate": map[string]any{"enabled": false}},
		"no lora": {"lora": map[string]any{"targets": []string{}}},
		"no pet":  {"pet": map[string]any{"scale": 0}},
	} {
		more["steps"] = 2
		a := attempt(t, with(t, dir, more))
		res, err := Stage{}.Run(t.Context(), a)
		must(t, err)
		got, err := so8t.ReadAdapter(filepath.Join(a.OutputDir, "adapter"))
		must(t, err)
		if (got.LoRA == nil) != (name == "no lora") || (got.Gates == nil) != (name == "no gate") || (res.Metrics["pet"] == 0) != (name == "no pet") {
			t.Errorf("%s: LoRA %v, gates %v, pet %v", name, got.LoRA != nil, got.Gates != nil, res.Metrics["pet"])
		}
	}
}

func TestCheck_FindsWhatIsWrongBeforeAnythingStarts(t *testing.T) {
	t.Setenv("SO8T_LIBCUDA", "/nowhere/libcuda.so.1") // no GPU here, whatever machine this is
	dir := project(t, 6)
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o644))
		return path
	}
	good, err := os.ReadFile(filepath.Join(dir, "train.jsonl"))
	must(t, err)
	llama := write("llama/config.json", `{"model_type":"llama"}`)
	for name, c := range map[string]struct {
		more    map[string]any
		field   string
		code    plugins.Code
		message string
	}{
		"good":           {nil, "", "", ""},
		"no folder":      {map[string]any{"base": filepath.Join(dir, "Phi-4-mini-instruct")}, "base", plugins.Unavailable, "not there"},
		"not phi3":       {map[string]any{"base": filepath.Dir(llama)}, "base", plugins.BadInput, `"llama"`},
		"target":         {map[string]any{"lora": map[string]any{"targets": []string{"q_proj"}}}, "lora.targets", plugins.BadInput, "qkv_proj"},
		"layer":          {map[string]any{"gate": map[string]any{"layers": "7"}}, "gate.layers", plugins.BadInput, "outside"},
		"broken line":    {map[string]any{"dataset": write("broken.jsonl", string(good)+"{\"messages\":\n")}, "dataset", plugins.BadInput, "broken.jsonl:7"},
		"no dataset":     {map[string]any{"dataset": filepath.Join(dir, "nothing.jsonl")}, "dataset", plugins.BadInput, "not there"},
		"broken eval":    {map[string]any{"validation": write("v.jsonl", "x\n")}, "validation", plugins.BadInput, "v.jsonl:1"},
		"too long":       {map[string]any{"length": 20}, "dataset", plugins.BadInput, "length 20"},
		"more than has":  {map[string]any{"length": 512}, "length", plugins.BadInput, "max_position_embeddings"},
		"every":          {map[string]any{"checkpoint": map[string]any{"every": "0s"}}, "checkpoint.every", plugins.BadInput, "positive"},
		"phases":         {map[string]any{"pet": map[string]any{"bounds": []float64{0.7, 0.3}}}, "pet", plugins.BadInput, "0.7"},
		"nothing at all": {map[string]any{"lora": map[string]any{"targets": []string{}}, "gate": map[string]any{"enabled": false}}, "lora.targets", plugins.BadInput, "nothing to train"},
		"cuda":           {map[string]any{"backend": "cuda"}, "backend", plugins.Unavailable, "CPU"},
	} {
		more := map[string]any{"length": 128}
		maps.Copy(more, c.more)
		rep, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: with(t, dir, more)})
		must(t, err)
		if c.field == "" {
			if len(rep.Problems) > 0 || rep.Needs.Memory < 1<<20 || rep.Needs.Disk < 1 || rep.Facts["threads"] != "2" {
				t.Errorf("%s: %+v", name, rep)
			}
			continue
		}
		if len(rep.Problems) != 1 || rep.Problems[0].Field != c.field || rep.Problems[0].Code != c.code || !strings.Contains(rep.Problems[0].Message+rep.Problems[0].Hint, c.message) {
			t.Errorf("%s: %+v, want one of field %s with %q", name, rep.Problems, c.field, c.message)
		}
	}
}

// What comes from upstream is not looked for; a dataset that is there is read all the same.
func TestCheck_PendingInputs(t *testing.T) {
	dir := project(t, 6)
	rep, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: with(t, dir, map[string]any{"base": "", "dataset": "", "validation": ""}), Pending: []string{"base", "dataset", "validation"}})
	must(t, err)
	if len(rep.Problems) > 0 {
		t.Errorf("problems %+v", rep.Problems)
	}
	broken := filepath.Join(dir, "broken.jsonl")
	must(t, os.WriteFile(broken, []byte("{\n"), 0o644))
	rep, err = Stage{}.Check(t.Context(), plugins.CheckRequest{With: with(t, dir, map[string]any{"base": "", "dataset": broken}), Pending: []string{"base"}})
	must(t, err)
	if len(rep.Problems) != 1 || !strings.Contains(rep.Problems[0].Message, "broken.jsonl:1") {
		t.Errorf("problems %+v, want the broken line", rep.Problems)
	}
}

// Nothing but the base is there yet: that it speaks another chat format is found all the same.
func TestCheck_OtherChatFormatWithPendingDataset(t *testing.T) {
	dir := project(t, 6)
	must(t, os.WriteFile(filepath.Join(dir, "base", "chat_template.jinja"), []byte("[INST] {{ messages[0]['content'] }} [/INST]"), 0o644))
	rep, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: with(t, dir, map[string]any{"dataset": "", "validation": ""}), Pending: []string{"dataset", "validation"}})
	must(t, err)
	if len(rep.Problems) != 1 || rep.Problems[0].Field != "base" || !strings.Contains(rep.Problems[0].Message, "chat_template") {
		t.Errorf("problems %+v, want the chat format", rep.Problems)
	}
}
