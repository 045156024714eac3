package engine_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/so8t/so8t/plugins"
)

// probe is a stage with what noop lacks: facts, a path as text, nested and optional and volatile
// outputs.
type probe struct{}

type probeConfig struct {
	Input string `json:"input" format:"path"`
	Empty bool   `json:"empty"`
	LoRA  struct {
		R int `json:"r" default:"8"`
	} `json:"lora"`
	Verbose bool `json:"verbose" bytes:"same"`
	// Say is a variable whose value goes into the log.
	Say string `json:"say"`
	// Stubborn says so when it is asked to stop, and goes on.
	Stubborn bool `json:"stubborn"`
}

func (probe) Describe() plugins.Description {
	return plugins.Description{Name: "probe", Kind: plugins.KindStage, Revision: 1, With: plugins.SchemaOf(probeConfig{}),
		Outputs: []plugins.Output{{Name: "tree"}, {Name: "extra", Optional: true}, {Name: "times", Volatile: true, Optional: true}},
		Metrics: []plugins.MetricSpec{{Name: "size"}}}
}

func (probe) Check(_ context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	backend := os.Getenv("SO8T_BACKEND")
	if backend == "" {
		backend = "plain"
	}
	return plugins.CheckReport{Facts: map[string]string{"backend": backend}}, nil
}

func (probe) Run(_ context.Context, a *plugins.Attempt) (plugins.Result, error) {
	var c probeConfig
	if err := plugins.DecodeWith(a.With, &c); err != nil {
		return plugins.Result{}, err
	}
	if c.Say != "" {
		a.Log(os.Getenv(c.Say))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Facts)) {
		if strings.HasPrefix(name, "outcome.") {
			a.Log(name + " = " + a.Facts[name])
		}
	}
	if c.Stubborn {
		a.Progress(1, 2, "step")
		<-a.Stop
		a.Warn("no")
		select {}
	}
	if err := os.MkdirAll(filepath.Join(a.OutputDir, "tree", "deep"), 0o755); err != nil {
		return plugins.Result{}, err
	}
	if c.Empty {
		return plugins.Result{}, nil
	}
	text := []byte("constant")
	a.Metric("size", float64(len(text)), 1)
	for _, name := range []string{"tree/a", "tree/deep/b"} {
		if err := os.WriteFile(filepath.Join(a.OutputDir, name), text, 0o644); err != nil {
			return plugins.Result{}, err
		}
	}
	return plugins.Result{Metrics: map[string]float64{"size": float64(len(text))}},
		os.WriteFile(filepath.Join(a.OutputDir, "times"), []byte(a.Run), 0o644)
}

// curve reports four points, and fails once after the third, with a checkpoint at the second.
type curve struct{}

func (curve) Describe() plugins.Description {
	return plugins.Description{Name: "curve", Kind: plugins.KindStage, Revision: 1, With: plugins.SchemaOf(struct{}{}),
		Outputs: []plugins.Output{{Name: "out"}}, Checkpoints: true}
}

func (curve) Check(context.Context, plugins.CheckRequest) (plugins.CheckReport, error) {
	return plugins.CheckReport{}, nil
}

func (curve) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	first := int64(1)
	if a.Resume != nil {
		first = a.Resume.Step + 1
	}
	for step := first; step <= 4; step++ {
		a.Metric("loss", float64(step*10), step)
		if step == 2 {
			if err := a.SaveCheckpoint(ctx, step, func(string) error { return nil }); err != nil {
				return plugins.Result{}, err
			}
		}
		if step == 3 && a.Resume == nil {
			return plugins.Result{}, plugins.Errorf(plugins.Internal, "once")
		}
	}
	return plugins.Result{Metrics: map[string]float64{"loss": 40}}, os.WriteFile(filepath.Join(a.OutputDir, "out"), []byte("x"), 0o644)
}
