package plugintest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/manifest"
)

// prepare makes an input, where it knows how.
func (s *suite) prepare() error {
	known := map[string]any{}
	if s.description.Kind == plugins.KindEvaluator {
		path := filepath.Join(s.dir, "project", "predictions.jsonl")
		if err := os.WriteFile(path, predictions(), 0o644); err != nil {
			return err
		}
		known["predictions"] = path
	}
	if names := s.schema.unknown(known); len(names) > 0 {
		s.why = fmt.Sprintf("no input is known for the required parameter(s) %s", strings.Join(names, ", "))
		return nil
	}
	s.good = encode(known)
	return nil
}

// rows of the generated predictions: enough for a rate, few enough to read.
const rows = 60

// predictions are rows as the eval stage writes them, with every label, every model, and
// outputs that agree with the prediction and outputs that do not.
func predictions() []byte {
	labels := []string{"ALLOW", "ESCALATION", "DENY"}
	models := []string{"tuned", "base", "nogate"}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	for i := range rows {
		label, predicted := labels[i%3], labels[(i+i/7)%3]
		said := predicted
		if i%5 == 0 {
			said = label
		}
		scores, probs := map[string]float64{}, map[string]float64{}
		for _, l := range labels {
			scores[l], probs[l] = -2.5, 0.15
		}
		scores[predicted], probs[predicted] = -1, 0.7
		row := map[string]any{
			"id": fmt.Sprintf("row-%02d", i), "text": "公開資料だけで説明してください。", "label": label, "predicted": predicted, "decision": predicted,
			"scores": scores, "probs": probs, "output": "判定: " + said + "\n理由: 公開情報です。", "model": models[i/20],
			"domain": "defense", "template": "t1", "topic": "p1",
		}
		if err := enc.Encode(row); err != nil {
			panic(err) // texts and finite numbers
		}
	}
	return out.Bytes()
}

// runs lets the plugin work on the small input and looks at everything that it says and leaves.
func (s *suite) runs(ctx context.Context) error {
	if s.good == nil {
		return nil
	}
	before, err := s.outside("first")
	if err != nil {
		return err
	}
	a, result, wrong, err := s.execute(ctx, "first")
	if err != nil {
		return err
	}
	after, err := s.outside("first")
	if err != nil {
		return err
	}
	for _, path := range after {
		if !slices.Contains(before, path) {
			wrong = append(wrong, fmt.Sprintf("it wrote outside its folders: %s", path))
		}
	}
	wrong = append(wrong, s.wrongMetrics(result)...)
	if result.Skipped == "" {
		wrong = append(wrong, s.wrongFiles(a)...)
	}
	return list(wrong)
}

// execute makes one run and returns what was wrong with its events.
func (s *suite) execute(ctx context.Context, name string) (*plugins.Attempt, plugins.Result, []string, error) {
	var result plugins.Result
	var wrong []string
	a, err := s.attempt(name, s.good)
	if err != nil {
		return nil, result, nil, err
	}
	err = s.with(ctx, func(p *host.Process) error {
		report, err := p.Check(ctx, plugins.CheckRequest{With: s.good, ProjectDir: a.ProjectDir})
		if err != nil {
			return fmt.Errorf("checking good parameters: %w", err)
		}
		for _, problem := range report.Problems {
			wrong = append(wrong, fmt.Sprintf("Check finds a problem with good parameters: %s: %s", problem.Field, problem.Message))
		}
		a.Facts = report.Facts
		var last plugins.Progress
		result, err = p.Run(ctx, a, func(e plugins.Event) {
			progress, ok := e.(plugins.Progress)
			if !ok {
				return
			}
			if progress.Unit == last.Unit && progress.Done < last.Done {
				wrong = append(wrong, fmt.Sprintf("progress went back from %d to %d", last.Done, progress.Done))
			}
			if progress.Total > 0 && progress.Done > progress.Total {
				wrong = append(wrong, fmt.Sprintf("progress is %d of %d", progress.Done, progress.Total))
			}
			last = progress
		})
		return err
	})
	if len(wrong) > 5 {
		wrong = append(wrong[:5], "…")
	}
	return a, result, wrong, err
}

func (s *suite) wrongMetrics(r plugins.Result) []string {
	var wrong []string
	for name := range r.Metrics {
		if !slices.ContainsFunc(s.description.Metrics, func(m plugins.MetricSpec) bool { return m.Name == name }) {
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
	m, err := seal(a, s.description.Outputs)
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

func seal(a *plugins.Attempt, outputs []plugins.Output) (*manifest.Manifest, error) {
	declared := make([]manifest.Output, len(outputs))
	for i, o := range outputs {
		declared[i] = manifest.Output{Name: o.Name, Path: o.Path, MediaType: o.MediaType, Optional: o.Optional, Volatile: o.Volatile}
	}
	return manifest.SealOutputs(manifest.OS, a.OutputDir, declared)
}

// repeats runs the same input again: a result is reused by its input, so it must follow
// from it.
func (s *suite) repeats(ctx context.Context) error {
	first, err := manifest.Read(manifest.PathFor(filepath.Join(s.dir, "first", "out")))
	if errors.Is(err, manifest.ErrIncomplete) {
		return nil // the first run ended as skipped
	}
	if err != nil {
		return err
	}
	a, _, _, err := s.execute(ctx, "second")
	if err != nil {
		return err
	}
	second, err := seal(a, s.description.Outputs)
	if err != nil {
		return err
	}
	var wrong []string
	for _, o := range first.Outputs {
		if again, ok := second.Output(o.Name); !o.Volatile && (!ok || again.SHA256 != o.SHA256) {
			wrong = append(wrong, fmt.Sprintf("output %q differs between two runs; if it must, declare it volatile", o.Name))
		}
	}
	return list(wrong)
}

// outside lists every file that the attempt called name has no right to write, with size and
// time: those of the suite's folder and of the plugin's own.
func (s *suite) outside(name string) ([]string, error) {
	var files []string
	for _, root := range []string{s.dir, s.command.Dir} {
		if root == "" {
			continue
		}
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == "__pycache__" || s.own(name, path) || root != s.dir && path == s.dir) {
				return filepath.SkipDir
			}
			if d.IsDir() || path == filepath.Join(s.dir, name, manifest.FileName) {
				return nil
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			files = append(files, fmt.Sprintf("%s (%d bytes, %s)", path, info.Size(), info.ModTime().Format("15:04:05.000000")))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// own says whether a folder is one that the attempt may write into.
func (s *suite) own(name, path string) bool {
	for _, d := range []string{"out", "scratch", "checkpoints"} {
		if path == filepath.Join(s.dir, name, d) {
			return true
		}
	}
	return false
}
