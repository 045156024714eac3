// Package bake is the stage that puts what was trained into the weights: LoRA is merged, then
// every gate is folded into its o_proj, and a stock Phi-3 folder is written that needs neither.
// Before anything is written, the logits of the two models are compared.
package bake

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/so8t/so8t/plugins"
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
	DType   string `json:"dtype" default:"auto" enum:"auto,float32,float16,bfloat16" help:"type of the written weights; auto: the base's"`
	// Tolerance is relative to the range of the logits. Both sides compute in float32, in
	// another order: 1e-4 is the rounding that this allows.
	Tolerance float64 `json:"tolerance" default:"1e-4" exmin:"0" help:"largest difference of logits between gated and baked model, as a share of their range"`
	Backend   string  `json:"backend" default:"auto" enum:"auto,cpu,cuda" help:"what computes the proof"`
	Threads   int     `json:"threads" default:"0" min:"0" help:"0: one for each core"`
}

// dtype is the type of the written weights.
func (c Config) dtype(m *phi3.Config) string {
	if c.DType == "auto" {
		return m.DType
	}
	return c.DType
}

// Describe says what the stage is.
func (Stage) Describe() plugins.Description {
	return plugins.Description{
		Name: "bake", Version: "1", Revision: 1, Kind: plugins.KindStage,
		Help: "merges LoRA and folds the gates into the weights, proven on the logits",
		With: plugins.SchemaOf(Config{}),
		Outputs: []plugins.Output{
			{Name: "model", MediaType: "application/x-huggingface-folder", Help: "a stock Phi-3 folder"},
			{Name: "report", Path: "bake_report.json", MediaType: "application/json", Help: "the proof, and the digest of every tensor"},
		},
		Metrics: []plugins.MetricSpec{
			{Name: "layers_folded", Help: "gates folded into o_proj"},
			{Name: "modules_merged", Help: "projections with a merged LoRA"},
			{Name: "max_error", Help: "largest difference of logits between gated and baked model", Better: "lower"},
			{Name: "relative_error", Help: "max_error over the range of the logits", Better: "lower"},
			{Name: "cast_error", Help: "relative root mean square of what the cast to dtype changed", Better: "lower"},
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
	compute.Check(&report, c.Backend, c.Threads)
	if c.Base != "" {
		if folder, err := phi3.OpenFolder(c.Base); err == nil {
			report.Needs.Memory = proofBytes(folder.Config)
			if d, known := dtypes[c.dtype(folder.Config)]; known {
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
	if c.Adapter != "" {
		if _, err := so8t.ReadAdapter(c.Adapter); err != nil {
			report.Problems = append(report.Problems, plugins.InputProblem("adapter", err))
		}
	}
	return report, nil
}

// Run merges, proves and writes.
func (Stage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	var c Config
	if err := plugins.DecodeWith(a.With, &c); err != nil {
		return plugins.Result{}, err
	}
	folder, err := phi3.OpenFolder(c.Base)
	if err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	defer folder.Close()
	adapter, err := so8t.ReadAdapter(c.Adapter)
	if err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	merged, err := phi3.NewMerged(folder.Config, folder, adapter)
	if err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	template, err := chat.Open(c.Base)
	if err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	a.Progress(0, 2, "step")
	be, err := compute.Open(c.Backend, c.Threads)
	if err != nil {
		return plugins.Result{}, err
	}
	defer func() { _ = be.Close() }()
	proof, err := prove(be, folder, adapter, merged, prompts(template, folder.Config))
	if err != nil {
		return plugins.Result{}, err
	}
	if proof.RelativeError > c.Tolerance {
		return plugins.Result{}, plugins.Errorf(plugins.Gate,
			"the baked model is not the trained one: logits differ by %.3g, %.3g of their range, more than %.3g", proof.MaxError, proof.RelativeError, c.Tolerance)
	}
	a.Progress(1, 2, "step")
	if ctx.Err() != nil {
		return plugins.Result{}, ctx.Err()
	}
	return write(a, c, folder, adapter, merged, proof)
}

func write(a *plugins.Attempt, c Config, folder *phi3.Folder, adapter *so8t.Adapter, merged *phi3.Merged, proof Proof) (plugins.Result, error) {
	dtype := c.dtype(folder.Config)
	out := filepath.Join(a.OutputDir, "model")
	digests, castError, err := writeModel(out, c.Base, folder.Config, merged, dtype)
	if err != nil {
		return plugins.Result{}, err
	}
	report := newReport(adapter, proof, dtype, castError, digests)
	if err := jsonfile.Write(filepath.Join(a.OutputDir, "bake_report.json"), report); err != nil {
		return plugins.Result{}, err
	}
	a.Progress(2, 2, "step")
	return plugins.Result{Metrics: map[string]float64{
		"layers_folded": float64(report.LayersFolded), "modules_merged": float64(report.ModulesMerged),
		"max_error": proof.MaxError, "relative_error": proof.RelativeError, "cast_error": castError,
	}}, nil
}
