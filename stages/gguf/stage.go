// Package gguf is the stage that turns a Hugging Face folder, or a base with its adapter as a bake
// proved them, into one GGUF file of one type, for llama.cpp and Ollama, reads it back to see that it
// holds the model, and, given held-out text, that it predicts what the unquantised model does.
package gguf

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/baked"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/divergence"
	"github.com/so8t/so8t/stages/internal/imatrix"
	"github.com/so8t/so8t/stages/internal/jsonfile"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/settle"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// Stage is the stage.
type Stage struct{}

// fileName of the output: what people download should say what it is.
const fileName = "model.gguf"

// Describe says what the stage is.
func (Stage) Describe() plugins.Description {
	return plugins.Description{
		Name: "gguf", Version: "1", Revision: 6, Kind: plugins.KindStage,
		Help: "writes a GGUF file for llama.cpp and Ollama, and reads it back",
		With: plugins.SchemaOf(Config{}),
		Outputs: []plugins.Output{
			{Name: "model", Path: fileName, MediaType: "application/x-gguf"},
			{Name: "report", Path: "gguf_report.json", MediaType: "application/json", Help: "type, size and error of every tensor"},
		},
		Metrics: []plugins.MetricSpec{
			{Name: "bytes", Help: "size of the file", Better: "lower"},
			{Name: "tensors", Help: "tensors in the file"},
			{Name: "weight_error", Help: "relative root mean square of what the type changed in the matrices", Better: "lower"},
			{Name: "bits_per_weight", Help: "file size in bits over the number of weights", Better: "lower"},
			{Name: "kl", Help: "mean KL from the unquantised model on held-out text, nats", Better: "lower"},
			{Name: "max_kl", Help: "the largest kl that passes"},
			{Name: "same_top", Help: "share of held-out positions where both find the same token most probable", Better: "higher"},
			{Name: "min_same_top", Help: "the smallest same_top that passes"},
			{Name: "perplexity_ratio", Help: "held-out perplexity over the unquantised model's", Better: "lower"},
		},
	}
}

// Check looks at the folder, if it is there.
func (Stage) Check(_ context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	var report plugins.CheckReport
	var c Config
	if err := plugins.DecodeWith(req.With, &c); err != nil {
		report.Problems = append(report.Problems, plugins.InputProblem("", err))
		return report, nil
	}
	if p := c.check(req.Pending); p != nil {
		report.Problems = append(report.Problems, *p)
		return report, nil
	}
	// Also when the text is still to be made: what is stated now is not asked for again.
	if c.HeldOut != "" || slices.Contains(req.Pending, "heldout") {
		compute.Check(&report, c.Backend, c.Threads)
	}
	field, path := "model", c.Model
	if path == "" {
		field, path = "base", c.Base
	}
	if path == "" {
		return report, nil
	}
	m, err := modelfile.Open(path)
	if err != nil {
		report.Problems = append(report.Problems, plugins.InputProblem(field, err))
		return report, nil
	}
	defer m.Close()
	var adapter *so8t.Adapter
	if c.Adapter != "" {
		if adapter, err = so8t.ReadAdapter(c.Adapter); err != nil {
			report.Problems = append(report.Problems, plugins.InputProblem("adapter", err))
		}
	}
	if c.Bake != "" {
		if _, err := baked.Read(c.Bake); err != nil {
			report.Problems = append(report.Problems, plugins.InputProblem("bake", err))
		}
	}
	mix, _ := c.mix()  // checked
	const widest = 256 // a block of any type
	report.Needs.Disk = int64(mix.Base().Bytes(widest)) * m.Config.Parameters() / widest
	report.Needs.Memory = c.memory(m.Config, adapter)
	return report, nil
}

// memory is about what the stage takes: the pieces that are being written, or the comparison, with
// the adapter, and room for code, heap and vocabulary.
func (c Config) memory(m *phi3.Config, adapter *so8t.Adapter) int64 {
	total := modelfile.WriteMemory(c.Threads)
	if c.HeldOut != "" {
		total = max(total, divergence.Memory(m))
	}
	return total + adapter.Bytes() + 256<<20
}

// Run writes, verifies and compares.
func (Stage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	var c Config
	if err := plugins.DecodeWith(a.With, &c); err != nil {
		return plugins.Result{}, err
	}
	if p := c.check(nil); p != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%s: %s", p.Field, p.Message)
	}
	m, err := c.open()
	if err != nil {
		return plugins.Result{}, err
	}
	defer m.Close()
	// Else the heap may grow to twice what is in use before anybody cleans up.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(c.memory(m.Config, m.reference.Adapter)))
	path := filepath.Join(a.OutputDir, fileName)
	e, err := c.export(m)
	if err != nil {
		return plugins.Result{}, err
	}
	if err := writeFile(ctx, a, path, e); err != nil {
		return plugins.Result{}, err
	}
	if err := m.check(e.Record.Tensors, e.FileNames()); err != nil {
		return plugins.Result{}, err
	}
	report, err := verify(path, e)
	if err != nil {
		return plugins.Result{}, err
	}
	values := map[string]float64{
		"bytes": float64(report.Bytes), "tensors": float64(len(report.Tensors)),
		"weight_error": report.WeightError, "bits_per_weight": report.BitsPerWeight,
	}
	if c.HeldOut != "" {
		d, err := c.gate(ctx, a, path, m)
		if d != nil {
			report.Divergence = d
			values["kl"], values["max_kl"], values["same_top"], values["min_same_top"], values["perplexity_ratio"] = d.MeanKL, d.Limit, d.SameTop, d.LeastSameTop, d.PerplexityRatio
		}
		if err != nil {
			return plugins.Result{Metrics: values}, err
		}
	}
	if err := jsonfile.Write(filepath.Join(a.OutputDir, "gguf_report.json"), report); err != nil {
		return plugins.Result{}, err
	}
	return plugins.Result{Metrics: values}, nil
}

// export is what is to be written.
func (c Config) export(m *material) (modelfile.Export, error) {
	mix, _ := c.mix() // checked
	e := modelfile.Export{Name: c.Name, Mix: mix, Config: m.Config, Source: m.source, Template: m.Template, Jobs: c.Threads, Record: &modelfile.Record{Sources: m.proven != nil}}
	if c.Imatrix == "" {
		return e, nil
	}
	importance, err := imatrix.Read(c.Imatrix)
	if err == nil {
		err = e.UseImatrix(importance, filepath.Base(c.Imatrix))
	}
	if err != nil {
		return e, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	return e, nil
}

func writeFile(ctx context.Context, a *plugins.Attempt, path string, e modelfile.Export) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("creating %q: %w", fileName, err)
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	w := settle.New(f, false)
	if err := e.Write(stoppable{ctx, a, w}, func(done, total int64) { a.Progress(done, total, "weight") }); err != nil {
		return err
	}
	return w.Sync()
}

// stoppable is a file that can no longer be written once the stage is to stop.
type stoppable struct {
	ctx context.Context
	a   *plugins.Attempt
	w   io.Writer
}

func (s stoppable) Write(p []byte) (int, error) {
	if s.ctx.Err() != nil || s.a.Stopping() {
		return 0, plugins.Errorf(plugins.Cancelled, "stopped while writing %q", fileName)
	}
	return s.w.Write(p)
}
