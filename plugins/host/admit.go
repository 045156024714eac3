package host

import (
	"fmt"
	"path/filepath"

	"github.com/so8t/so8t/plugins"
)

// What one run may tell the engine, which keeps metrics and warnings: far more than a person looks
// at, and too little to fill a disk.
const (
	maxWarnings = 1_000
	maxMetrics  = 4_000_000
	// maxEventText is how much of a line or message goes further than into the log, in bytes.
	maxEventText = 1 << 10
)

// told counts what a run has told. Events come one at a time.
type told struct{ warnings, metrics int }

// admit redacts an event, writes log lines to the log, and refuses what is too much and a
// checkpoint that does not lie where the attempt's checkpoints do.
func (p *Process) admit(a *plugins.Attempt, e plugins.Event) plugins.Event {
	switch e := e.(type) {
	case plugins.LogLine:
		e.Message = p.secrets.text(e.Message)
		line := e.Message + "\n"
		if e.Level != "info" && e.Level != "" {
			line = e.Level + ": " + line
		}
		p.journal.write([]byte(line))
		e.Message = clip(e.Message)
		return e
	case plugins.Warning:
		return p.admitWarning(p.secrets.text(e.Message))
	case plugins.Metric:
		switch p.told.metrics++; {
		case p.told.metrics == maxMetrics+1:
			return p.admitWarning(fmt.Sprintf("it has reported %d values of metrics; the rest is dropped", maxMetrics))
		case p.told.metrics > maxMetrics:
			return nil
		}
		return e
	case plugins.Progress:
		e.Message = clip(p.secrets.text(e.Message))
		return e
	case plugins.Saved:
		rel, err := filepath.Rel(a.CheckpointDir, e.Checkpoint.Path)
		if err != nil || !filepath.IsLocal(rel) || rel == "." {
			return p.admitWarning(fmt.Sprintf("the plugin reports a checkpoint at %q, outside its folder: ignored", e.Checkpoint.Path))
		}
		return e
	}
	return e
}

// admitWarning is nil once there were enough.
func (p *Process) admitWarning(message string) plugins.Event {
	switch p.told.warnings++; {
	case p.told.warnings == maxWarnings+1:
		message = fmt.Sprintf("it has warned %d times; what it warns of from here on stands in the log only", maxWarnings)
	case p.told.warnings > maxWarnings:
		p.journal.write([]byte("warning: " + message + "\n"))
		return nil
	}
	return plugins.Warning{Message: clip(message)}
}

// clip shortens a text, between two characters.
func clip(text string) string {
	if len(text) <= maxEventText {
		return text
	}
	cut := maxEventText
	for cut > maxEventText-4 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + " …"
}
