package plugintest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/manifest"
)

// runs lets the plugin work on the small input and looks at everything that it says and leaves.
func (s *suite) runs(ctx context.Context) error {
	if s.good == nil {
		return nil
	}
	s.printed = &meter{}
	a, err := s.attempt("first", s.good)
	if err != nil {
		return err
	}
	result, wrong, err := s.execute(ctx, a)
	if err != nil {
		return s.unfit(err)
	}
	after, err := s.outside()
	if err != nil {
		return err
	}
	wrong = append(wrong, touched(s.before, after)...)
	wrong = append(wrong, s.wrongMetrics(result)...)
	if result.Skipped == "" {
		wrong = append(wrong, s.wrongFiles(a)...)
	}
	return list(wrong)
}

// unfit is the error of a run, unless the plugin says that the suite's own parameters, or this
// machine, are not what it works on.
func (s *suite) unfit(err error) error {
	code := plugins.CodeOf(err)
	if !s.guessed || code != plugins.BadInput && code != plugins.Unavailable {
		return err
	}
	s.good, s.why = nil, fmt.Sprintf("it does not take the suite's parameters: %v; %s", err, giveThem)
	return nil
}

// execute makes one run and returns what was wrong with its events.
func (s *suite) execute(ctx context.Context, a *plugins.Attempt) (plugins.Result, []string, error) {
	var result plugins.Result
	events := &events{specs: s.description.Metrics}
	err := s.with(ctx, func(p *host.Process) error {
		report, err := p.Check(ctx, plugins.CheckRequest{With: a.With, ProjectDir: a.ProjectDir})
		if err != nil {
			return fmt.Errorf("checking good parameters: %w", err)
		}
		if len(report.Problems) > 0 {
			first := report.Problems[0]
			return plugins.Errorf(first.Code, "Check finds a problem with good parameters: %s", strings.TrimPrefix(first.Field+": "+first.Message, ": "))
		}
		a.Facts = report.Facts
		result, err = p.Run(ctx, a, events.on)
		return err
	})
	if len(events.wrong) > 5 {
		events.wrong = append(events.wrong[:5], "…")
	}
	return result, events.wrong, err
}

// events looks at what a run reports.
type events struct {
	specs []plugins.MetricSpec
	last  plugins.Progress
	wrong []string
}

func (l *events) on(e plugins.Event) {
	say := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(l.wrong, text) {
			l.wrong = append(l.wrong, text)
		}
	}
	switch e := e.(type) {
	case plugins.Progress:
		if e.Unit == l.last.Unit && e.Done < l.last.Done {
			say("progress went back from %d to %d", l.last.Done, e.Done)
		}
		if e.Total > 0 && e.Done > e.Total {
			say("progress is %d of %d", e.Done, e.Total)
		}
		l.last = e
	case plugins.Metric:
		if !declared(l.specs, e.Name) {
			say("it reports the metric %q without declaring it", e.Name)
		}
	}
}

func declared(specs []plugins.MetricSpec, name string) bool {
	return slices.ContainsFunc(specs, func(m plugins.MetricSpec) bool { return m.Name == name })
}

func (s *suite) wrongMetrics(r plugins.Result) []string {
	var wrong []string
	for name := range r.Metrics {
		if !declared(s.description.Metrics, name) {
			wrong = append(wrong, fmt.Sprintf("it reports the metric %q without declaring it", name))
		}
	}
	slices.Sort(wrong)
	if s.description.Kind == plugins.KindEvaluator && len(r.Metrics) == 0 {
		wrong = append(wrong, "an evaluator reports at least one metric")
	}
	return wrong
}

// wrongFiles compares what is in the output folder with the description. A plugin without the
// sdk leaves no manifest; the engine then seals the outputs as done here.
func (s *suite) wrongFiles(a *plugins.Attempt) []string {
	m, err := s.seal(a)
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	for _, f := range m.Files {
		if !slices.ContainsFunc(m.Outputs, func(o manifest.Sealed) bool {
			return f.Path == o.Path || strings.HasPrefix(f.Path, o.Path+"/")
		}) {
			wrong = append(wrong, fmt.Sprintf("the file %q is part of no declared output", f.Path))
		}
	}
	return wrong
}

func (s *suite) seal(a *plugins.Attempt) (*manifest.Manifest, error) {
	outputs := s.description.OutputsOf(a.With)
	sealed := make([]manifest.Output, len(outputs))
	for i, o := range outputs {
		sealed[i] = manifest.Output{Name: o.Name, Path: o.Path, MediaType: o.MediaType, Optional: o.Optional, Volatile: o.Volatile}
	}
	return manifest.SealOutputs(manifest.OS, a.OutputDir, sealed)
}

// repeats runs the same input again: a result is reused by its input, so it must follow
// from it.
func (s *suite) repeats(ctx context.Context) error {
	a, err := s.attempt("second", s.good)
	if err != nil {
		return err
	}
	if _, _, err := s.execute(ctx, a); err != nil {
		return err
	}
	return s.sameOutputs(a, "two runs")
}

// sameOutputs compares the outputs of an attempt with those of the first run.
func (s *suite) sameOutputs(a *plugins.Attempt, runs string) error {
	first, err := manifest.Read(manifest.PathFor(filepath.Join(s.dir, "first", "out")))
	if errors.Is(err, manifest.ErrIncomplete) {
		return nil // the first run ended as skipped
	}
	if err != nil {
		return err
	}
	again, err := s.seal(a)
	if err != nil {
		return err
	}
	var wrong []string
	for _, o := range first.Outputs {
		if second, ok := again.Output(o.Name); !o.Volatile && (!ok || second.SHA256 != o.SHA256) {
			wrong = append(wrong, fmt.Sprintf("output %q differs between %s; if it must, declare it volatile", o.Name, runs))
		}
	}
	return list(wrong)
}
