// Package bake is the stage that puts what was trained into the weights: LoRA is merged, then
// every gate is folded into its o_proj, and a stock Phi-3 folder is written that needs neither; or
// none, and the report says how a gguf stage makes the same weights again. Before anything is
// published, the logits of the two models are compared. Weights pass through in chunks of rows: a
// model of 7.7 GB takes about a gigabyte with a large adapter.
package bake

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/baked"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/jsonfile"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// Stage is the stage.
type Stage struct{}

// Config is its `with`.
type Config struct {
	Base    string `json:"base" format:"path" required:"true" help:"Hugging Face folder the adapter was trained on"`
	Adapter string `json:"adapter" format:"path" media:"application/vnd.so8t.adapter" required:"true" help:"adapter folder of the train stage"`
	Folder  bool   `json:"folder" default:"true" help:"false: the weights are proven and not written; a gguf stage that is given base, adapter and this report as bake makes them again, unrounded, and needs no folder"`
	DType   string `json:"dtype" default:"auto" enum:"auto,float32,float16,bfloat16" help:"type of the written weights; auto: the base's. Without a folder they are not rounded"`
	// Tolerance is relative to the range of the logits. Both sides compute in float32, in
	// another order: 1e-4 is the rounding that this allows.
	Tolerance float64 `json:"tolerance" default:"1e-4" exmin:"0" help:"largest difference of logits between gated and baked model, as a share of their range"`
	Storage   string  `json:"storage" default:"native" enum:"native,f32,bf16,int8,nf4" help:"the train stage's storage: how it kept the base that the adapter was fitted to"`
	MergeOnto string  `json:"merge_onto" default:"auto" enum:"auto,original,dequantised" help:"where storage changes the base: the files' weights, or what training kept of them; auto: the lower validation NLL of the exported model, dequantised without a validation set"`
	// Validation costs a forward pass of both models, and only where the two bases differ.
	Validation string `json:"validation" format:"path" help:"dataset on which the two bases are compared"`
	Backend    string `json:"backend" default:"auto" enum:"auto,cpu,cuda" help:"what computes the proof"`
	Threads    int    `json:"threads" default:"0" min:"0" help:"0: one for each core"`
}

// dtype is the type of the weights.
func (c Config) dtype(m *phi3.Config) string {
	switch {
	case !c.Folder:
		return baked.DType
	case c.DType == "auto":
		return m.DType
	}
	return c.DType
}

// check is what can be told without looking at a file.
func (c Config) check() *plugins.Problem {
	if !c.Folder && c.DType != "auto" && c.DType != baked.DType {
		return &plugins.Problem{Field: "dtype", Code: plugins.BadInput, Message: "without a folder no weights are written, and none are rounded to " + c.DType, Hint: "leave out dtype, or folder: false"}
	}
	return nil
}

// Describe says what the stage is.
func (Stage) Describe() plugins.Description {
	return plugins.Description{
		Name: "bake", Version: "1", Revision: 3, Kind: plugins.KindStage,
		Help: "merges LoRA and folds the gates into the weights, proven on the logits",
		With: plugins.SchemaOf(Config{}),
		Outputs: []plugins.Output{
			{Name: "model", MediaType: "application/x-huggingface-folder", Help: "a stock Phi-3 folder; absent with folder: false", Optional: true},
			{Name: "report", Path: "bake_report.json", MediaType: "application/json", Help: "the proof, and the digest of every tensor"},
		},
		Metrics: []plugins.MetricSpec{
			{Name: "layers_folded", Help: "gates folded into o_proj"},
			{Name: "modules_merged", Help: "projections with a merged LoRA"},
			{Name: "max_error", Help: "largest difference of logits between gated and baked model", Better: "lower"},
			{Name: "relative_error", Help: "max_error over the range of the logits", Better: "lower"},
			{Name: "written_relative_error", Help: "the same of the written files, after the cast to dtype", Better: "lower"},
			{Name: "cast_error", Help: "relative root mean square of what the cast to dtype changed in the weights", Better: "lower"},
			{Name: "orthogonality_error", Help: "largest |RᵀR − I| of any gate", Better: "lower"},
			{Name: "nll_original", Help: "validation NLL merged onto the original base; where the bases differ", Better: "lower"},
			{Name: "nll_dequantised", Help: "validation NLL merged onto the dequantised base; where the bases differ", Better: "lower"},
		},
	}
}

// Check looks at what is there already.
func (Stage) Check(_ context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	var report plugins.CheckReport
	var c Config
	if err := plugins.DecodeWith(req.With, &c); err != nil {
		report.Problems = append(report.Problems, plugins.InputProblem("", err))
		return report, nil
	}
	if p := c.check(); p != nil {
		report.Problems = append(report.Problems, *p)
	}
	compute.Check(&report, c.Backend, c.Threads)
	var adapter *so8t.Adapter
	if c.Adapter != "" {
		var err error
		if adapter, err = so8t.ReadAdapter(c.Adapter); err != nil {
			report.Problems = append(report.Problems, plugins.InputProblem("adapter", err))
		}
	}
	if c.Base != "" {
		if folder, err := phi3.OpenFolder(c.Base); err == nil {
			report.Needs.Memory = memory(folder.Config, adapter)
			if d, known := dtypes[c.dtype(folder.Config)]; known && !c.Folder {
				// A report is all that is written.
			} else if known {
				report.Needs.Disk = folder.Config.FileBytes(d.Bits() / 8)
			} else {
				report.Problems = append(report.Problems, plugins.Problem{Field: "dtype", Code: plugins.BadInput,
					Message: fmt.Sprintf("the base's weights are of type %q, which cannot be written", folder.Config.DType),
					Hint:    "set dtype to float32, float16 or bfloat16"})
			}
			_ = folder.Close()
		} else {
			report.Problems = append(report.Problems, plugins.InputProblem("base", err))
		}
	}
	return report, nil
}

// Run merges, writes and proves. What it writes is published only when it returns without an error.
func (Stage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	var c Config
	if err := plugins.DecodeWith(a.With, &c); err != nil {
		return plugins.Result{}, err
	}
	if p := c.check(); p != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%s: %s", p.Field, p.Message)
	}
	folder, err := phi3.OpenFolder(c.Base)
	if err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	defer folder.Close()
	b := &baking{config: c, folder: folder, progress: a.Progress}
	if err := b.read(); err != nil {
		return plugins.Result{}, err
	}
	be, err := compute.Open(c.Backend, c.Threads)
	if err != nil {
		return plugins.Result{}, err
	}
	defer func() { _ = be.Close() }()
	dir := ""
	if c.Folder {
		dir = filepath.Join(a.OutputDir, "model")
	}
	report, err := b.run(ctx, be, dir)
	if err != nil {
		return plugins.Result{}, err
	}
	if err := jsonfile.Write(filepath.Join(a.OutputDir, "bake_report.json"), report); err != nil {
		return plugins.Result{}, err
	}
	return plugins.Result{Metrics: report.metrics(c.Folder)}, nil
}

// baking is one attempt.
type baking struct {
	config     Config
	folder     *phi3.Folder
	adapter    *so8t.Adapter
	prompts    [][]int32
	validation examples
	layers     []LayerReport
	progress   func(done, total int64, unit string)
}

// read reads everything but the weights. The vocabulary is let go of before the adapter, the
// largest of it, is read.
func (b *baking) read() error {
	template, err := chat.Open(b.config.Base)
	if err != nil {
		return plugins.Errorf(plugins.BadInput, "%w", err)
	}
	b.prompts = prompts(template, b.folder.Config)
	if b.validation, err = readExamples(b.config.Validation, template, b.folder.Config); err != nil {
		return err
	}
	debug.FreeOSMemory() // else the heap may grow to twice what is in use before anybody cleans up
	if b.adapter, err = so8t.ReadAdapter(b.config.Adapter); err != nil {
		return plugins.Errorf(plugins.BadInput, "%w", err)
	}
	if err := phi3.CheckAdapter(b.folder.Config, b.adapter); err != nil {
		return plugins.Errorf(plugins.BadInput, "%w", err)
	}
	b.layers, err = layerReports(b.adapter.Gates)
	return err
}

// run makes the weights and proves them; a folder of them that fails the proof is removed.
func (b *baking) run(ctx context.Context, be backend.Backend, dir string) (r Report, err error) {
	defer func() {
		if err != nil && dir != "" {
			_ = os.RemoveAll(dir)
		}
	}()
	c, m := b.config, b.folder.Config
	base, onto, err := chooser{c, be, b.folder, b.adapter, b.validation}.choose(ctx)
	if err != nil {
		return r, err
	}
	merged, err := phi3.NewMerged(m, base, b.adapter)
	if err != nil {
		return r, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	tensors := len(m.Tensors())
	step := func(done int) { b.progress(int64(done), int64(tensors+m.Layers), "step") }
	step(0)
	w := &modelWriter{dir: dir, base: c.Base, folder: b.folder, merged: merged, dtype: c.dtype(m), jobs: c.Threads, shard: shardBytes, chunk: chunkBytes, written: step}
	if err := w.run(ctx); err != nil {
		return r, err
	}
	r = Report{LayersFolded: w.folded, ModulesMerged: w.merges, Layers: b.layers, CastError: w.cast.relative(),
		Recipe: baked.Recipe{MergedOnto: onto, DType: w.dtype, Tensors: w.digests}}
	if err := r.checkCounts(b.adapter); err != nil {
		return r, err
	}
	debug.FreeOSMemory() // the writer's buffers
	p := prover{be: be, config: m, base: base, adapter: b.adapter, merged: merged, layer: func(done int) { step(tensors + done) }}
	if dir != "" {
		files, err := phi3.OpenFolder(dir)
		if err != nil {
			return r, fmt.Errorf("opening the baked model: %w", err)
		}
		defer files.Close()
		p.written = files
	}
	if r.Proof, err = p.run(ctx, b.prompts); err != nil {
		return r, err
	}
	return r, r.Proof.check(c.Tolerance, r.DType)
}
