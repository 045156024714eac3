package base

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/phi3"
)

// Check looks at the parameters and at the folder or the corpus.
func (Stage) Check(_ context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	k := &checker{pending: req.Pending}
	c, err := parse(req.With)
	if err != nil {
		k.problem("", plugins.BadInput, err.Error(), "")
		return k.report, nil
	}
	if slices.Contains(k.pending, "model") {
		return k.report, nil
	}
	if c.Model != "" {
		k.folder(c.Model)
		return k.report, nil
	}
	k.making(c)
	return k.report, nil
}

type checker struct {
	pending []string
	report  plugins.CheckReport
}

func (k *checker) problem(field string, code plugins.Code, message, hint string) {
	k.report.Problems = append(k.report.Problems, plugins.Problem{Field: field, Code: code, Message: message, Hint: hint})
}

func (k *checker) folder(dir string) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		k.problem("model", plugins.Unavailable, fmt.Sprintf("model folder %q is not there", dir),
			"download it, for example: hf download microsoft/Phi-4-mini-instruct --local-dir "+dir)
		return
	}
	if _, err := checkFolder(dir); err != nil {
		k.problem("model", plugins.BadInput, err.Error(), "")
		return
	}
	size, err := copied(dir)
	if err != nil {
		k.problem("model", plugins.BadInput, err.Error(), "")
	}
	k.report.Needs.Disk = size
}

// making is what pre-training depends on.
func (k *checker) making(c Config) {
	if _, err := c.Checkpoint.Interval(); err != nil {
		k.problem("checkpoint.every", plugins.BadInput, err.Error(), "a duration such as 3m or 500ms")
	}
	arch, err := c.architecture(vocabulary{size: c.Vocabulary + padTo})
	if err != nil {
		k.problem("heads", plugins.BadInput, err.Error(), "")
	}
	compute.Check(&k.report, c.Backend, c.Threads)
	switch {
	case slices.Contains(k.pending, "corpus"):
	case c.Corpus == "":
		k.problem("corpus", plugins.BadInput, "neither corpus nor model is given", "corpus: a JSONL of texts to learn from, or model: a folder to pass on")
	default:
		if _, err := readDocuments(c.Corpus); err != nil {
			k.problem("corpus", plugins.BadInput, err.Error(), "")
		}
	}
	if arch != nil {
		n := arch.Parameters()
		k.report.Needs.Memory = pretraining(arch, c.Tokens) + 64<<20 // and code, heap, the corpus
		k.report.Needs.Disk = 12*n*int64(c.Checkpoint.Keep+1) + 4*n + 1<<20
	}
}

// copied is how many bytes passing a folder on writes.
func copied(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for _, e := range entries {
		info, err := os.Stat(dir + string(os.PathSeparator) + e.Name())
		if err == nil && info.Mode().IsRegular() && info.Size() <= linkAbove {
			total += info.Size()
		}
	}
	return total, nil
}

// pretraining is the memory of training all weights on micro-batches of so many tokens; 0 when
// the shape cannot be trained, which is reported elsewhere.
func pretraining(arch *phi3.Config, tokens int) int64 {
	dry := compute.OpenDry("cpu")
	defer func() { _ = dry.Close() }()
	var rows []int
	for tokens > 0 {
		n := min(tokens, arch.Longest())
		rows = append(rows, n)
		tokens -= n
	}
	p, err := arch.PlanPretraining(dry, rows)
	if err != nil {
		return 0
	}
	return p.Total()
}
