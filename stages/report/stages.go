package report

import (
	"maps"
	"slices"
	"strings"
)

// outcomePrefix marks facts that say how a dependency ended that left no outputs: the engine adds
// them for a stage that runs whatever happened before it.
const outcomePrefix = "outcome."

// stateOf says how a stage ended: its artifact is there, or the engine tells, or it was not run.
func (d *document) stateOf(stage, path string) cell {
	if path != "" {
		return cell{state: passed}
	}
	outcome, reason, _ := strings.Cut(d.facts[outcomePrefix+stage], ": ")
	switch outcome {
	case "failed", "interrupted", "cancelled":
		return cell{state: failed, text: reason}
	case "blocked":
		return cell{state: skipped, text: "an earlier stage failed"}
	}
	return cell{state: skipped, text: reason}
}

// addStages lists what the report is made from.
func addStages(d *document, c Config) error {
	t := &table{heading: []string{"Stage", "State"}}
	for _, s := range []struct{ name, path string }{{"data", c.Stats}, {"train", c.Curve}, {"bake", c.Bake}} {
		t.row(text("%s", s.name), d.stateOf(s.name, s.path))
	}
	for _, name := range names(c.GGUF) {
		t.row(text("%s", name), d.stateOf(name, c.GGUF[name]))
	}
	for _, s := range []struct{ name, path string }{{"ollama", c.Ollama}, {"calibrate", c.Calibration}, {"eval", c.Metrics}} {
		t.row(text("%s", s.name), d.stateOf(s.name, s.path))
	}
	for _, name := range names(c.Evaluators) {
		t.row(text("%s", name), d.stateOf(name, c.Evaluators[name]))
	}
	d.add("What ran", block{table: t})
	return nil
}

func names(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// notRun is the body of a section whose stage left nothing.
func (d *document) notRun(stage string) block { return paragraph(d.stateOf(stage, "")) }
