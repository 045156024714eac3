package data

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/dataset"
)

func runStage(t *testing.T, with string) (string, plugins.Result, error) {
	t.Helper()
	dir := t.TempDir()
	res, err := Stage{}.Run(context.Background(), &plugins.Attempt{With: json.RawMessage(with), OutputDir: dir})
	return dir, res, err
}

func readSplits(t *testing.T, dir string) (sets [4][]dataset.Row) {
	t.Helper()
	for s, name := range splitNames {
		rows, err := dataset.ReadFile(filepath.Join(dir, name+".jsonl"), true)
		if err != nil {
			t.Fatal(err)
		}
		sets[s] = rows
	}
	return sets
}

func TestRun_SameSeed_SameBytes_OtherSeed_OtherRows(t *testing.T) {
	with := `{"train":240,"validation":30,"calibration":60,"test":90,"seed":5}`
	a, _, err := runStage(t, with)
	if err != nil {
		t.Fatal(err)
	}
	b, _, _ := runStage(t, with)
	c, _, _ := runStage(t, strings.Replace(with, "5}", "6}", 1))
	for _, o := range (Stage{}).Describe().Outputs {
		x, err := os.ReadFile(filepath.Join(a, o.Path))
		if err != nil || len(x) == 0 {
			t.Fatalf("%s: %d bytes, %v", o.Name, len(x), err)
		}
		y, _ := os.ReadFile(filepath.Join(b, o.Path))
		z, _ := os.ReadFile(filepath.Join(c, o.Path))
		if string(x) != string(y) {
			t.Errorf("%s: two runs differ", o.Name)
		}
		if string(x) == string(z) {
			t.Errorf("%s: the seed changes nothing", o.Name)
		}
	}
}

// The properties that make the numbers downstream mean something, over several seeds.
func TestRun_DefaultCounts_BalancedUniqueDisjoint(t *testing.T) {
	for _, seed := range []string{"42", "-9", "123456789"} {
		dir, res, err := runStage(t, `{"seed":`+seed+`}`)
		if err != nil {
			t.Fatal(err)
		}
		if res.Metrics["rows"] != 4200 || res.Metrics["unique_rows"] != 4200 || res.Metrics["leaks"] != 0 {
			t.Errorf("seed %s: %v", seed, res.Metrics)
		}
		sets := readSplits(t, dir)
		where := map[string]string{} // group → split
		for s, want := range []int{2400, 300, 500, 1000} {
			if len(sets[s]) != want {
				t.Errorf("seed %s: %s has %d rows", seed, splitNames[s], len(sets[s]))
			}
			checkBalance(t, splitNames[s], sets[s])
			for _, r := range sets[s] {
				for _, group := range []string{"topic " + r.Topic, "template " + r.Template} {
					if w, ok := where[group]; ok && w != splitNames[s] {
						t.Fatalf("seed %s: %s is in %s and %s", seed, group, w, splitNames[s])
					}
					where[group] = splitNames[s]
				}
				if got := r.Messages[1].Content; got != dataset.Target(r.Label, r.Reason) {
					t.Fatalf("target %q", got)
				}
			}
		}
	}
}

func checkBalance(t *testing.T, name string, rows []dataset.Row) {
	t.Helper()
	counts := map[string]int{}
	for _, r := range rows {
		counts[r.Domain+" "+r.Label]++
	}
	for cell, n := range counts {
		if want := len(rows) / 12; n < want || n > want+1 {
			t.Errorf("%s: %d rows of %s, want %d", name, n, cell, want)
		}
	}
	if len(counts) != 12 {
		t.Errorf("%s: %d cells", name, len(counts))
	}
}

// Held-out rows are new combinations of known phrases.
func TestRun_HeldOutRows_PhrasesAllInTrain(t *testing.T) {
	for _, seed := range []uint64{42, 1, 7, 31} {
		g := newGenerator(seed)
		known := map[string]bool{}
		for s, n := range []int{2400, 300, 500, 1000} {
			rows, err := g.generate(split(s), n)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				for _, p := range phrases(r.request) {
					if split(s) == train {
						known[p] = true
					} else if !known[p] {
						t.Errorf("seed %d: %q of %s is not in train", seed, p, splitNames[s])
					}
				}
			}
		}
	}
}

// phrases are the pieces a request is put together from.
func phrases(r request) []string {
	d := domains[r.domain]
	out := []string{d.places[r.place], d.documents[r.document], r.action(), r.approvalText()}
	if !r.bound {
		form := append(append([]string{}, unusedForms...), openForms...)
		if r.nonPublic {
			form = usedForms
		}
		return append(out, form[r.form])
	}
	text := r.bindingText()
	_, use, _ := strings.Cut(text, "です。")
	return append(out, strings.TrimSuffix(use, r.action()))
}

func TestTripleTests_AbsentFromEverySplit(t *testing.T) {
	for _, seed := range []string{"42", "3"} {
		dir, _, err := runStage(t, `{"seed":`+seed+`}`)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range dataset.TripleTests() {
			for _, o := range (Stage{}).Describe().Outputs {
				b, err := os.ReadFile(filepath.Join(dir, o.Path))
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(b), x.Prompt) {
					t.Errorf("seed %s: %s holds %q", seed, o.Name, x.Prompt)
				}
			}
		}
	}
}

func TestCorpus_TrainOnly_NoJudgementOfAPrompt(t *testing.T) {
	dir, _, err := runStage(t, `{"train":600,"validation":60,"calibration":60,"test":120}`)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(filepath.Join(dir, "corpus.jsonl"))
	corpus := string(raw)
	sets := readSplits(t, dir)
	for s, rows := range sets {
		for _, r := range rows {
			if got := strings.Contains(corpus, r.PromptText()); got != (split(s) == train) {
				t.Fatalf("prompt of %s in the corpus: %t", splitNames[s], got)
			}
			if split(s) != train && strings.Contains(corpus, r.Topic) {
				t.Fatalf("topic %q of %s is in the corpus", r.Topic, splitNames[s])
			}
		}
	}
	for _, l := range dataset.Labels {
		if n, want := strings.Count(corpus, l), strings.Count(corpus, dataset.Allow); n != want || n < 50 {
			t.Errorf("%s stands %d times, ALLOW %d", l, n, want)
		}
	}
	for _, doc := range strings.Split(corpus, "\n") {
		for _, l := range dataset.Labels {
			if strings.Contains(doc, l) && strings.Contains(doc, "問:") {
				t.Errorf("a judgement beside a request: %q", doc)
			}
		}
	}
}

func TestGenerate_GrammarRunsDry_IsAnError(t *testing.T) {
	g := newGenerator(1)
	for _, places := range g.alloc.topics {
		for _, documents := range places {
			for j := range documents {
				documents[j] = train
			}
		}
	}
	if _, err := g.generate(test, 3); plugins.CodeOf(err) != plugins.BadInput {
		t.Errorf("error %v", err)
	}
}

func TestConfig_Samples_DividedInTheRatio(t *testing.T) {
	for with, want := range map[string]float64{`{"samples":420}`: 420, `{"scale":"tiny"}`: 420, `{"scale":"tiny","test":30}`: 332, `{"samples":5000}`: 5000, `{"samples":4999}`: 4999} {
		_, res, err := runStage(t, with)
		if err != nil || res.Metrics["rows"] != want {
			t.Errorf("%s: %v, %v", with, res.Metrics, err)
		}
	}
}

func TestPermute_TrainLabelsByChance_TestUntouched(t *testing.T) {
	plain, _, err := runStage(t, `{"scale":"tiny"}`)
	if err != nil {
		t.Fatal(err)
	}
	mixed, _, err := runStage(t, `{"scale":"tiny","permute_labels":true}`)
	if err != nil {
		t.Fatal(err)
	}
	a, b := readSplits(t, plain), readSplits(t, mixed)
	for s := range a {
		same := 0
		counts := map[string]int{}
		for i, r := range b[s] {
			if r.PromptText() != a[s][i].PromptText() || r.Messages[1].Content != dataset.Target(r.Label, r.Reason) {
				t.Fatalf("row %+v of %+v", r, a[s][i])
			}
			if r.Label == a[s][i].Label {
				same++
			}
			counts[r.Label]++
			counts[a[s][i].Label]--
		}
		for l, n := range counts {
			if n != 0 {
				t.Errorf("%s: %+d rows of %s", splitNames[s], n, l)
			}
		}
		share := float64(same) / float64(len(b[s]))
		if touched := split(s) == train || split(s) == validation; touched == (share == 1) || touched && share > 0.6 {
			t.Errorf("%s: %.2f of the labels are as they were", splitNames[s], share)
		}
	}
}
