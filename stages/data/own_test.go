package data

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/dataset"
)

// ownFile writes rows as a user would.
func ownFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func manyLines(n int) []string {
	g := newGenerator(9)
	rows, err := g.generate(train, n)
	if err != nil {
		panic(err)
	}
	var lines []string
	for _, r := range rows {
		text, _ := json.Marshal(map[string]string{"text": r.row.PromptText(), "label": strings.ToLower(r.row.Label), "reason": r.row.Reason})
		lines = append(lines, string(text))
	}
	return lines
}

func withFile(path, more string) string { return fmt.Sprintf(`{"dataset":%q%s}`, path, more) }

func TestRun_OwnRows_EveryRowOnce_ClustersWhole(t *testing.T) {
	lines := manyLines(300)
	lines = append(lines, `{"instruction":"荷役計画はいつ確定しますか。","output":"前日の夕方です。"}`, lines[0])
	path := ownFile(t, lines...)
	dir, res, err := runStage(t, withFile(path, ""))
	if err != nil {
		t.Fatal(err)
	}
	if res.Metrics["rows"] != 301 || res.Metrics["leaks"] != 0 {
		t.Errorf("metrics %v", res.Metrics)
	}
	where := map[string]string{}
	total := 0
	for _, name := range splitNames {
		rows, err := dataset.ReadFile(filepath.Join(dir, name+".jsonl"), name != "train")
		if err != nil {
			t.Fatal(err)
		}
		total += len(rows)
		for _, r := range rows {
			if w, ok := where[r.Template]; ok && w != name {
				t.Errorf("cluster %s is in %s and %s", r.Template, w, name)
			}
			where[r.Template] = name
			if r.Label != "" && r.Messages[1].Content != dataset.Target(r.Label, r.Reason) {
				t.Errorf("target %q", r.Messages[1].Content)
			}
		}
	}
	if total != 301 {
		t.Errorf("%d rows", total)
	}
	corpus, err := os.ReadFile(filepath.Join(dir, "corpus.jsonl"))
	if err != nil || !strings.Contains(string(corpus), "前日の夕方です。") {
		t.Errorf("the corpus lacks a train text: %v", err)
	}
	test, _ := dataset.ReadFile(filepath.Join(dir, "test.jsonl"), true)
	for _, r := range test {
		if strings.Contains(string(corpus), r.PromptText()) {
			t.Fatalf("the corpus holds %q of test", r.PromptText())
		}
	}
}

func TestRun_OwnRows_SplitInTheRatioOfTheCounts(t *testing.T) {
	// Rows of one template would be one cluster: these share no wording.
	var lines []string
	for i := range 400 {
		text := ""
		for j := range 12 {
			text += string(rune(0x4e00 + (i*977+j*j*131)%15000))
		}
		lines = append(lines, fmt.Sprintf(`{"text":%q,"label":%q}`, text, dataset.Labels[i%3]))
	}
	dir, _, err := runStage(t, withFile(ownFile(t, lines...), `,"train":200,"validation":50,"calibration":50,"test":100`))
	if err != nil {
		t.Fatal(err)
	}
	for s, rows := range readSplits(t, dir) {
		want := []int{200, 50, 50, 100}[s]
		if n := len(rows); n < want-4 || n > want+4 {
			t.Errorf("%s: %d rows, want about %d", splitNames[s], n, want)
		}
	}
}

func check(t *testing.T, with string) plugins.CheckReport {
	t.Helper()
	r, err := Stage{}.Check(context.Background(), plugins.CheckRequest{With: json.RawMessage(with)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheck_BrokenLine_SaysFileAndLine(t *testing.T) {
	lines := manyLines(60)
	lines[6] = `{"text": "x", "label": `
	lines[8] = `{"text":"y","label":"DENYY"}`
	path := ownFile(t, lines...)
	r := check(t, withFile(path, ""))
	if len(r.Problems) != 2 || !strings.Contains(r.Problems[0].Message, "rows.jsonl:7: bad-json") || !strings.Contains(r.Problems[1].Message, "did you mean DENY") {
		t.Errorf("problems %v", r.Problems)
	}
	for _, p := range r.Problems {
		if p.Field != "dataset" || p.Code != plugins.BadInput || p.Hint == "" {
			t.Errorf("problem %+v", p)
		}
	}
	if _, _, err := runStage(t, withFile(path, "")); plugins.CodeOf(err) != plugins.BadInput || !strings.Contains(err.Error(), ":7:") {
		t.Errorf("error %v", err)
	}
	if r := check(t, withFile(path, `,"bad_rows":"skip"`)); len(r.Problems) != 0 {
		t.Errorf("skip: %v", r.Problems)
	}
}

func TestCheck_NothingUsable_IsAProblem(t *testing.T) {
	many := make([]string, 50)
	for i := range many {
		many[i] = "{"
	}
	for name, c := range map[string]struct{ path, want string }{
		"missing":   {filepath.Join(t.TempDir(), "none.jsonl"), "none.jsonl"},
		"empty":     {ownFile(t), "no-rows"},
		"one row":   {ownFile(t, `{"text":"x","label":"DENY"}`), "too few"},
		"all bad":   {ownFile(t, many...), "30 more"},
		"no labels": {ownFile(t, `{"instruction":"荷役計画はいつ確定しますか。","output":"前日です。"}`), "too few"},
	} {
		r := check(t, withFile(c.path, ""))
		all := ""
		for _, p := range r.Problems {
			all += p.Message + "\n"
		}
		if !strings.Contains(all, c.want) || len(r.Problems) > maxProblems+2 {
			t.Errorf("%s: %q does not say %q", name, all, c.want)
		}
	}
	if r := check(t, `{}`); len(r.Problems) != 0 {
		t.Errorf("own grammar: %v", r.Problems)
	}
	if r := check(t, `{"samples":12}`); len(r.Problems) != 1 {
		t.Errorf("too few samples: %v", r.Problems)
	}
}
