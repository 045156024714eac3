// Package data is the stage that makes rows: from the built-in grammar, or from a user's
// own file. It splits them so that no topic and no combination of clauses (for a user's
// file: no cluster of similar texts) is in two splits, and reports what leaks.
package data

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/dataset"
)

// Stage is the built-in stage `data`.
type Stage struct{}

// New returns the stage.
func New() plugins.Stage { return Stage{} }

// Describe says what the stage is.
func (Stage) Describe() plugins.Description {
	const jsonl = "application/jsonl"
	return plugins.Description{
		Name: "data", Version: "1", Kind: plugins.KindStage, Revision: 1,
		Help: "makes train, validation, calibration and test rows: from a grammar of Japanese requests with three judgements, or from your own file",
		With: plugins.SchemaOf(config{}),
		Outputs: []plugins.Output{
			{Name: "train", Path: "train.jsonl", MediaType: jsonl, Help: "rows to learn from"},
			{Name: "validation", Path: "validation.jsonl", MediaType: jsonl, Help: "rows for the loss while training"},
			{Name: "calibration", Path: "calibration.jsonl", MediaType: jsonl, Help: "rows for temperature and threshold"},
			{Name: "test", Path: "test.jsonl", MediaType: jsonl, Help: "rows for the evaluation"},
			{Name: "stats", Path: "stats.json", MediaType: "application/json", Help: "counts, lengths and leaks"},
			{Name: "corpus", Path: "corpus.jsonl", MediaType: jsonl, Help: "texts and dialogues made of the train rows, without their judgements, for the base stage"},
		},
		Metrics: []plugins.MetricSpec{
			{Name: "rows", Help: "rows in all splits"},
			{Name: "unique_rows", Help: "distinct prompts among them, after folding width, case and white space"},
			{Name: "leaks", Help: "rows outside train whose prompt, template or topic train has", Better: "lower"},
		},
	}
}

// Check reads a user's file, so that a broken line is found before anything starts.
func (Stage) Check(_ context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	var c config
	if err := plugins.DecodeWith(req.With, &c); err != nil {
		return plugins.CheckReport{}, err
	}
	n := c.counts()
	report := plugins.CheckReport{
		Problems: c.problems(),
		// About 1 KB a row in all outputs, and the rows in memory with their n-grams.
		Needs: plugins.Needs{Disk: int64(n[0]+n[1]+n[2]+n[3]) << 10, Memory: 64 << 20},
	}
	if c.Dataset == "" {
		return report, nil
	}
	if st, err := os.Stat(c.Dataset); err == nil {
		report.Needs.Disk, report.Needs.Memory = 4*st.Size(), 64<<20+40*st.Size()
	}
	im, problems := importOwn(c, req.ProjectDir)
	if len(problems) == 0 {
		rows, clusters, _ := ownRows(im)
		if _, err := splitGroups(rows, clusters, c); err != nil {
			problems = append(problems, plugins.Problem{Field: "dataset", Code: plugins.BadInput, Message: err.Error(), Hint: "add rows"})
		}
	}
	report.Problems = append(report.Problems, problems...)
	return report, nil
}

// Run writes the outputs. It takes about a second, so it neither checkpoints nor stops early.
func (Stage) Run(_ context.Context, a *plugins.Attempt) (plugins.Result, error) {
	var c config
	if err := plugins.DecodeWith(a.With, &c); err != nil {
		return plugins.Result{}, err
	}
	source := fromGrammar
	if c.Dataset != "" {
		source = fromFile
	}
	m, err := source(c, a)
	if err != nil {
		return plugins.Result{}, err
	}
	if c.Permute {
		permuteLabels(m.sets[train], c.Seed)
		permuteLabels(m.sets[validation], c.Seed)
	}
	if err := m.write(a.OutputDir); err != nil {
		return plugins.Result{}, err
	}
	if n := m.stats.leaks(); n > 0 {
		return plugins.Result{}, plugins.Errorf(plugins.Internal, "%d rows outside train leak from it; stats.json says which", n)
	}
	return plugins.Result{Metrics: map[string]float64{
		"rows": float64(m.stats.Rows), "unique_rows": float64(m.stats.Unique), "leaks": float64(m.stats.leaks()),
	}}, nil
}

// made is what the stage writes.
type made struct {
	sets   [4][]dataset.Row
	stats  stats
	corpus []document
}

func fromGrammar(c config, a *plugins.Attempt) (*made, error) {
	g := newGenerator(uint64(c.Seed))
	m := &made{}
	var learned []generated
	var binding [4]int
	for s, n := range c.counts() {
		rows, err := g.generate(split(s), n)
		if err != nil {
			return nil, err
		}
		if split(s) == train {
			learned = rows
		}
		for _, r := range rows {
			m.sets[s] = append(m.sets[s], r.row)
			if r.request.bound {
				binding[s]++
			}
		}
		a.Progress(int64(s+1), int64(len(splitNames)), "split")
	}
	m.stats = newStats("grammar", c.Seed, m.sets)
	for s, n := range binding {
		d := m.stats.Splits[splitNames[s]]
		d.Binding = n
		m.stats.Splits[splitNames[s]] = d
	}
	m.corpus = grammarCorpus(learned, uint64(c.Seed))
	return m, nil
}

func (m *made) write(dir string) error {
	for s, rows := range m.sets {
		if err := dataset.WriteFile(filepath.Join(dir, splitNames[s]+".jsonl"), rows); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(m.stats, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "stats.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return dataset.WriteFile(filepath.Join(dir, "corpus.jsonl"), m.corpus)
}
