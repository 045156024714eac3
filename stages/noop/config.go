package noop

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/so8t/so8t/plugins"
)

// Config is the stage's `with`. The output is a function of Seed, Steps, Bytes and the content
// of Inputs; what only changes how the work goes stays out of the fingerprint.
type Config struct {
	Duration        string             `json:"duration" format:"duration" default:"0s" bytes:"same" help:"how long all steps take together"`
	Steps           int64              `json:"steps" default:"1" min:"0" help:"steps of work"`
	CheckpointEvery int64              `json:"checkpoint_every" default:"0" min:"0" bytes:"same" help:"steps between checkpoints; 0 = none"`
	FailAt          int64              `json:"fail_at" default:"0" min:"0" bytes:"same" help:"step at which it fails; 0 with another fail key = before the first"`
	FailTimes       int                `json:"fail_times" default:"0" min:"0" bytes:"same" help:"attempts that fail before one succeeds; 0 with another fail key = all"`
	Exit            int                `json:"exit" default:"0" min:"0" max:"255" bytes:"same" help:"exit code of the process instead of an error"`
	Code            string             `json:"code" default:"" bytes:"same" help:"class of the error to fail with"`
	RetryWith       map[string]any     `json:"retry_with" bytes:"same" help:"fields and values to propose for another try, with the error"`
	Skip            string             `json:"skip" default:"" help:"end as skipped, for this reason"`
	Bytes           int64              `json:"bytes" default:"64" min:"0" help:"size of the output"`
	Seed            int64              `json:"seed" default:"0" help:"seed of the output's content"`
	Inputs          []string           `json:"inputs" format:"path" help:"artifacts that the output depends on"`
	Log             any                `json:"log" bytes:"same" help:"lines to print: a list, a text, or how many"`
	Metrics         map[string]float64 `json:"metrics" help:"metrics to report"`
	Trace           string             `json:"trace" default:"" bytes:"same" help:"file that gets a line when an attempt starts and ends"`
}

func decode(with []byte) (Config, error) {
	var c Config
	if err := plugins.DecodeWith(with, &c); err != nil {
		return c, err
	}
	return c, nil
}

func (c Config) problems() []plugins.Problem {
	var ps []plugins.Problem
	bad := func(field, format string, args ...any) {
		ps = append(ps, plugins.Problem{Field: field, Code: plugins.BadInput, Message: fmt.Sprintf(format, args...)})
	}
	if _, err := duration(c.Duration); err != nil {
		bad("duration", "%v", err)
	}
	if c.Code != "" && !slices.Contains(plugins.Codes, plugins.Code(c.Code)) {
		bad("code", "unknown error code %q", c.Code)
	}
	if _, err := logLines(c.Log); err != nil {
		bad("log", "%v", err)
	}
	return ps
}

// fails reports whether this attempt is one of those that should fail.
func (c Config) fails(attempt int) bool {
	if c.FailTimes > 0 {
		return attempt <= c.FailTimes
	}
	return c.FailAt > 0 || c.Exit > 0 || c.Code != ""
}

// duration reads the language's durations: Go's, and d for days.
func duration(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	var total time.Duration
	if days, rest, ok := strings.Cut(s, "d"); ok {
		d, err := time.ParseDuration(days + "h")
		if err != nil {
			return 0, fmt.Errorf("duration %q: no number before d", s)
		}
		total = 24 * d
		if s = rest; s == "" {
			return total, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("duration %q: want a number and ms, s, m, h or d", s)
	}
	return total + d, nil
}

// logLines turns the three forms of `log` into lines.
func logLines(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return strings.Split(strings.TrimRight(v, "\n"), "\n"), nil
	case float64:
		if v < 0 || v != float64(int(v)) {
			return nil, fmt.Errorf("log: %v is no number of lines", v)
		}
		lines := make([]string, int(v))
		for i := range lines {
			lines[i] = fmt.Sprintf("line %d", i+1)
		}
		return lines, nil
	case []any:
		lines := make([]string, len(v))
		for i, line := range v {
			lines[i] = fmt.Sprint(line)
		}
		return lines, nil
	}
	return nil, fmt.Errorf("log: want a list, a text or a number of lines")
}
