package base

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/phi3"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// corpusFile is a small corpus of both kinds of rows.
func corpusFile(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, `{"text":"港%dの荷役計画は公開されています。判定: ALLOW"}`+"\n", i)
		fmt.Fprintf(&b, `{"messages":[{"role":"user","content":"図面%dは公表済みですか。"},{"role":"assistant","content":"はい、公表済みです。"}]}`+"\n", i)
	}
	path := filepath.Join(t.TempDir(), "corpus.jsonl")
	must(t, os.WriteFile(path, []byte(b.String()), 0o644))
	return path
}

func with(t *testing.T, more map[string]any) json.RawMessage {
	t.Helper()
	m := map[string]any{
		"vocabulary": 330, "hidden": 32, "layers": 1, "heads": 2, "kv_heads": 1, "intermediate": 32, "positions": 128,
		"steps": 12, "tokens": 128, "lr": 0.02, "checkpoint": map[string]any{"every": "1ns"}, "threads": 2,
	}
	maps.Copy(m, more)
	b, err := json.Marshal(m)
	must(t, err)
	return b
}

func attempt(t *testing.T, w json.RawMessage) *plugins.Attempt {
	t.Helper()
	dir := t.TempDir()
	a := &plugins.Attempt{Stage: "base", Run: "r", Number: 1, With: w, OutputDir: filepath.Join(dir, "out"), CheckpointDir: filepath.Join(dir, "checkpoints")}
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

func folderBytes(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == metricsFile {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = string(b)
		return err
	}))
	return out
}

func TestRun_MakesAFolderThatOpens_AndLearns(t *testing.T) {
	corpus := corpusFile(t)
	a := attempt(t, with(t, map[string]any{"corpus": corpus}))
	var first, last float64
	a.Emit = func(e plugins.Event) {
		if m, ok := e.(plugins.Metric); ok && m.Name == "loss" {
			if last = m.Value; m.Step == 1 {
				first = m.Value
			}
		}
	}
	res, err := Stage{}.Run(t.Context(), a)
	must(t, err)
	if last > first-1 {
		t.Errorf("loss %v → %v: nothing learnt", first, last)
	}
	dir := filepath.Join(a.OutputDir, "model")
	f, err := phi3.OpenFolder(dir)
	must(t, err)
	defer f.Close()
	if float64(f.Config.Parameters()) != res.Metrics["parameters"] || !f.Config.TiedEmbeddings || f.Config.Vocab%padTo != 0 {
		t.Errorf("config %+v, metrics %v", f.Config, res.Metrics)
	}
	template, err := chat.Open(dir)
	must(t, err)
	if n := len(template.Tokenizer().Encode("判定: ALLOW")); n > 4 {
		t.Errorf("the kept text takes %d tokens", n)
	}
	var generation struct {
		EOS []int32 `json:"eos_token_id"`
	}
	raw, err := os.ReadFile(filepath.Join(dir, "generation_config.json"))
	must(t, err)
	must(t, json.Unmarshal(raw, &generation))
	if end, _ := template.Tokenizer().AddedID(chat.End); len(generation.EOS) != 2 || generation.EOS[0] != end {
		t.Errorf("generation ends with %v, want %d first", generation.EOS, end)
	}
	// The same work again, and from a checkpoint, gives the same bytes.
	want := folderBytes(t, a.OutputDir)
	for _, resume := range []string{"", "7"} {
		b := attempt(t, with(t, map[string]any{"corpus": corpus}))
		if resume != "" {
			b.Resume = &plugins.Checkpoint{Step: 7, Path: filepath.Join(a.CheckpointDir, resume)}
		}
		_, err := Stage{}.Run(t.Context(), b)
		must(t, err)
		if got := folderBytes(t, b.OutputDir); !maps.Equal(got, want) {
			t.Errorf("resumed from %q: other bytes", resume)
		}
	}
}

func TestRun_GivenModelIsPassedOn(t *testing.T) {
	a := attempt(t, with(t, map[string]any{"corpus": corpusFile(t), "steps": 1}))
	_, err := Stage{}.Run(t.Context(), a)
	must(t, err)
	given := filepath.Join(a.OutputDir, "model")
	must(t, os.WriteFile(filepath.Join(given, ".cache"), []byte("x"), 0o644))
	b := attempt(t, with(t, map[string]any{"model": given}))
	rep, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: b.With})
	must(t, err)
	if len(rep.Problems) > 0 || rep.Needs.Disk == 0 {
		t.Errorf("report %+v", rep)
	}
	_, err = Stage{}.Run(t.Context(), b)
	must(t, err)
	want, got := folderBytes(t, given), folderBytes(t, filepath.Join(b.OutputDir, "model"))
	delete(want, ".cache")
	if !maps.Equal(got, want) {
		t.Errorf("got %d files, want %d equal ones", len(got), len(want))
	}
}

func TestRun_CorpusThatDoesNotFit(t *testing.T) {
	a := attempt(t, with(t, map[string]any{"corpus": corpusFile(t), "positions": 16, "keep": []string{}, "vocabulary": 300}))
	if _, err := (Stage{}).Run(t.Context(), a); plugins.CodeOf(err) != plugins.BadInput || !strings.Contains(err.Error(), "16 positions") {
		t.Errorf("got %v, want a bad_input about positions", err)
	}
}

func TestCheck_Problems(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.jsonl")
	must(t, os.WriteFile(broken, []byte("{\"text\":\"a\"}\n{\"text\":\n"), 0o644))
	empty := filepath.Join(dir, "empty.jsonl")
	must(t, os.WriteFile(empty, []byte("\n"), 0o644))
	for name, c := range map[string]struct {
		more    map[string]any
		pending []string
		field   string
		code    plugins.Code
		message string
	}{
		"good":       {map[string]any{"corpus": corpusFile(t)}, nil, "", "", ""},
		"pending":    {map[string]any{"corpus": ""}, []string{"corpus"}, "", "", ""},
		"neither":    {nil, nil, "corpus", plugins.BadInput, "neither"},
		"broken":     {map[string]any{"corpus": broken}, nil, "corpus", plugins.BadInput, "broken.jsonl:2"},
		"empty":      {map[string]any{"corpus": empty}, nil, "corpus", plugins.BadInput, "empty"},
		"no folder":  {map[string]any{"model": filepath.Join(dir, "gone")}, nil, "model", plugins.Unavailable, "not there"},
		"not a base": {map[string]any{"model": dir}, nil, "model", plugins.BadInput, "config.json"},
		"heads":      {map[string]any{"corpus": "", "heads": 3}, []string{"corpus"}, "heads", plugins.BadInput, "multiple"},
	} {
		rep, err := Stage{}.Check(t.Context(), plugins.CheckRequest{With: with(t, c.more), Pending: c.pending})
		must(t, err)
		if c.field == "" {
			if len(rep.Problems) > 0 || rep.Facts["backend"] == "" || rep.Needs.Memory == 0 {
				t.Errorf("%s: %+v", name, rep)
			}
			continue
		}
		if len(rep.Problems) != 1 || rep.Problems[0].Field != c.field || rep.Problems[0].Code != c.code || !strings.Contains(rep.Problems[0].Message, c.message) {
			t.Errorf("%s: %+v, want one of field %s with %q", name, rep.Problems, c.field, c.message)
		}
	}
}

func TestTokenizer_IsWholeBytes(t *testing.T) {
	c, err := learn(Config{Corpus: corpusFile(t), Vocabulary: 330, Positions: 128})
	must(t, err)
	for _, text := range []string{"港の荷役", "🙂 emoji", "判定: DENY\n理由: x"} {
		if got := c.tokenizer.Decode(c.tokenizer.Encode(text)); got != text {
			t.Errorf("%q came back as %q", text, got)
		}
	}
}
