// Package sdk makes a Go type a plugin: Serve is the whole main of one, ServeEvaluator that
// of an evaluator.
//
// It reports events, heartbeats and errors, publishes checkpoints, seals the outputs of a
// stage that succeeded, and ends the process when the engine is gone.
package sdk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"github.com/rs/zerolog"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/internal/wire"
	"github.com/so8t/so8t/plugins/manifest"
)

// ErrByHand is returned when no engine started the program.
var ErrByHand = errors.New("this program is a so8t plugin: name it in a workflow (uses:), or try `so8t plugins test` on it")

// ErrReplaced is returned when a built-in stage is of another build than the engine that
// started it: the file was replaced while the engine ran.
var ErrReplaced = errors.New("the so8t binary was replaced while it was running")

// Option changes how a plugin is served.
type Option func(*served)

// OnDisk publishes through another disk than the real one; for tests.
func OnDisk(d manifest.Disk) Option { return func(s *served) { s.disk = d } }

// Serve serves one stage until the engine ends the process or is gone. The error says why
// the program could not be served.
func Serve(stage plugins.Stage, opts ...Option) error {
	if os.Getenv(wire.CookieKey) != wire.CookieValue {
		return ErrByHand
	}
	if want := os.Getenv(wire.BuildKey); want != "" && want != wire.BuildID() {
		fmt.Fprintln(os.Stdout, wire.ReplacedLine)
		return ErrReplaced
	}
	watchEngine()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: wire.Handshake,
		Plugins:         plugin.PluginSet{wire.Name: &wire.Plugin{Stage: newServed(stage, opts)}},
		GRPCServer:      wire.NewGRPCServer,
		Logger:          hclog.NewNullLogger(),
	})
	return nil
}

// Logger writes lines of JSON to standard error, and so to the attempt's log: those of SO8T_LOG's level
// (debug, info, warn, error) and above, info without one.
func Logger() zerolog.Logger {
	level, err := zerolog.ParseLevel(os.Getenv("SO8T_LOG"))
	if err != nil || level == zerolog.NoLevel {
		level = zerolog.InfoLevel
	}
	return zerolog.New(os.Stderr).Level(level).With().Timestamp().Logger()
}

// served is a stage with what the sdk adds to it.
type served struct {
	stage plugins.Stage
	disk  manifest.Disk
	// stdio puts back the real standard streams, which go-plugin replaces while it starts:
	// a line printed just before a crash must not be in a buffer of the dying process.
	stdio func()
}

var _ plugins.Stage = (*served)(nil)

func newServed(stage plugins.Stage, opts []Option) *served {
	out := os.Stderr // also for standard output, whose first line was the handshake
	s := &served{stage: stage, disk: manifest.OS}
	s.stdio = sync.OnceFunc(func() { os.Stdout, os.Stderr = out, out })
	for _, o := range opts {
		o(s)
	}
	return s
}

// Describe implements plugins.Stage.
func (s *served) Describe() plugins.Description {
	s.stdio()
	d := s.stage.Describe()
	d.BuildID = wire.BuildID()
	return d
}

// Check implements plugins.Stage.
func (s *served) Check(ctx context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	s.stdio()
	report, err := s.stage.Check(ctx, req)
	log := Logger()
	log.Debug().Int("problems", len(report.Problems)).Interface("facts", report.Facts).Err(err).Msg("checked")
	return report, err
}

// Run implements plugins.Stage: the stage's Run, then its outputs sealed.
func (s *served) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	s.stdio()
	disk := crashing(s.disk, os.Getenv(wire.CrashKey), a.Stage)
	p := &publisher{disk: disk, dir: a.CheckpointDir}
	a.Publish = p.publish
	log := Logger().With().Str("stage", a.Stage).Int("attempt", a.Number).Logger()
	log.Debug().Bool("resumes", a.Resume != nil).Interface("facts", a.Facts).Msg("run begins")
	began := time.Now()
	result, err := s.stage.Run(ctx, a)
	log.Debug().Dur("took_ms", time.Since(began)).Err(err).Msg("run has ended")
	if err != nil || result.Skipped != "" {
		return result, err
	}
	if err := seal(disk, a.OutputDir, s.stage.Describe().OutputsOf(a.With)); err != nil {
		return plugins.Result{}, err
	}
	return result, nil
}

// seal makes the declared outputs durable.
func seal(d manifest.Disk, dir string, outputs []plugins.Output) error {
	declared := make([]manifest.Output, len(outputs))
	for i, o := range outputs {
		declared[i] = manifest.Output{Name: o.Name, Path: o.Path, MediaType: o.MediaType, Optional: o.Optional, Volatile: o.Volatile}
	}
	_, err := manifest.SealOutputs(d, dir, declared)
	var bad *manifest.OutputError
	if errors.As(err, &bad) {
		return plugins.Errorf(plugins.Internal, "the stage ended without an error, but %w", err)
	}
	if err != nil {
		return plugins.Errorf(plugins.CodeOf(err), "sealing the outputs: %w", err)
	}
	return nil
}
