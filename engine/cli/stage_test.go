package cli_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/so8t/so8t/plugins"
)

// cutter is a built-in stage of the tests: it passes on the first bytes of a file, as a disk that
// lost the rest would.
type cutter struct{}

type cutterConfig struct {
	File  string `json:"file" format:"path" required:"true"`
	Bytes int    `json:"bytes" default:"0"`
	Page  bool   `json:"page" default:"false"`
}

func (cutter) Describe() plugins.Description {
	return plugins.Description{Name: "cutter", Kind: plugins.KindStage, Revision: 1,
		With: plugins.SchemaOf(cutterConfig{}), Outputs: []plugins.Output{{Name: "out"}, {Name: "page", MediaType: "text/html", Optional: true}},
		Metrics: []plugins.MetricSpec{{Name: "kept", Better: "higher"}, {Name: "lost", Better: "lower"}}}
}

func (cutter) Check(context.Context, plugins.CheckRequest) (plugins.CheckReport, error) {
	return plugins.CheckReport{}, nil
}

func (cutter) Run(_ context.Context, a *plugins.Attempt) (plugins.Result, error) {
	var c cutterConfig
	if err := plugins.DecodeWith(a.With, &c); err != nil {
		return plugins.Result{}, err
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return plugins.Result{}, fmt.Errorf("reading what to cut: %w", err)
	}
	kept := text[:min(c.Bytes, len(text))]
	if c.Page {
		if err := os.WriteFile(filepath.Join(a.OutputDir, "page"), kept, 0o644); err != nil {
			return plugins.Result{}, err
		}
	}
	metrics := map[string]float64{"kept": float64(len(kept)), "lost": float64(len(text) - len(kept))}
	return plugins.Result{Metrics: metrics}, os.WriteFile(filepath.Join(a.OutputDir, "out"), kept, 0o644)
}
