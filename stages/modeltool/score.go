package modeltool

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/so8t/so8t/stages/internal/metrics"
)

// bootstrapIndices bounds the row numbers that the resamples hold at once: 400 MB.
const bootstrapIndices = 50_000_000

var score = command{
	name: "score", usage: "FILE.jsonl [--labels a,b,c] [--bins N] [--json]", operands: 1,
	help: `metrics, calibration and intervals of rows {"label":"DENY","logits":[…]} or "probs"`,
	define: func(f *flags) func(context.Context, []string, streams) error {
		labels := f.String("labels", strings.Join(metrics.Labels, ","), "the `labels` in the order of the scores, the most permissive first")
		bins := f.Int("bins", metrics.DefaultBins, "`number` of bins of the reliability tables")
		resamples := f.Int("resamples", 2000, "`number` of bootstrap resamples")
		seed := f.Uint64("seed", 1, "`number` that the resamples follow from")
		asJSON := f.Bool("json", false, "JSON")
		return func(_ context.Context, operands []string, s streams) error {
			names, err := parseLabels(*labels)
			if err != nil {
				return err
			}
			if *bins < 1 || *resamples < 1 {
				return usagef("--bins %d, --resamples %d: want at least 1", *bins, *resamples)
			}
			set, err := readScores(operands[0], names, s.in)
			if err != nil {
				return err
			}
			if set.N()*(*resamples) > bootstrapIndices {
				return usagef("--resamples %d: too many for %d rows; at most %d", *resamples, set.N(), bootstrapIndices/set.N())
			}
			r := scoreReport{set.Report(*bins), set.Bootstrap(metrics.Resamples(set.N(), *resamples, *seed), *bins), *resamples, names}
			if *asJSON {
				return json.NewEncoder(s.out).Encode(r)
			}
			return r.write(s.out)
		}
	},
}

// scoreReport is the JSON of score.
type scoreReport struct {
	metrics.Report
	Bootstrap map[string]metrics.Percentile `json:"bootstrap"`
	Resamples int                           `json:"resamples"`
	Labels    []string                      `json:"labels"`
}

func parseLabels(list string) ([]string, error) {
	names := strings.Split(list, ",")
	seen := map[string]bool{}
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
		if names[i] == "" || seen[names[i]] {
			return nil, usagef("--labels %s: a label is empty or there twice", list)
		}
		seen[names[i]] = true
	}
	if len(names) < 2 {
		return nil, usagef("--labels %s: want at least two", list)
	}
	return names, nil
}

// readScores reads a file of rows, or standard input when it is called "-".
func readScores(path string, labels []string, in io.Reader) (*metrics.Set, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, badInput(fmt.Errorf("opening the rows: %w", err))
		}
		defer discard(file)
		in = file
	}
	rows := &scoreRows{path: path, labels: labels}
	if path == "-" {
		rows.path = "standard input"
	}
	buffered := bufio.NewReader(in)
	for n := 1; ; n++ {
		line, err := buffered.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, badInput(fmt.Errorf("reading %q: %w", path, err))
		}
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if problem := rows.add(n, line); problem != nil {
				return nil, badInputf("%s:%d: %w", rows.path, n, problem)
			}
		}
		if err != nil {
			return rows.set()
		}
	}
}

// scoreRows collects rows. All of a file are logits, or all are probabilities.
type scoreRows struct {
	path   string
	labels []string
	kind   metrics.Kind
	x      [][]float64
	y      []int
	lines  []int // of each row, 1-based
}

func (s *scoreRows) add(line int, text []byte) error {
	var row struct {
		Label  *string    `json:"label"`
		Logits []*float64 `json:"logits"`
		Probs  []*float64 `json:"probs"`
	}
	if err := json.Unmarshal(text, &row); err != nil {
		return rowProblem(err)
	}
	if row.Label == nil {
		return errors.New(`"label" is missing`)
	}
	y, err := metrics.LabelIndex(s.labels, *row.Label)
	if err != nil {
		return err
	}
	kind, values := metrics.Logits, row.Logits
	switch {
	case row.Logits != nil && row.Probs != nil:
		return errors.New(`"logits" and "probs" are both there: want one of them`)
	case row.Logits == nil && row.Probs == nil:
		return errors.New(`neither "logits" nor "probs" is there`)
	case row.Probs != nil:
		kind, values = metrics.Probs, row.Probs
	}
	if len(s.x) > 0 && kind != s.kind {
		return fmt.Errorf("logits and probabilities in one file: line %d has the other kind", s.lines[0])
	}
	x := make([]float64, len(values))
	for i, v := range values {
		if v == nil {
			return fmt.Errorf("value %d is null", i+1)
		}
		x[i] = *v
	}
	s.kind = kind
	s.x, s.y, s.lines = append(s.x, x), append(s.y, y), append(s.lines, line)
	return nil
}

// rowFields says what the fields of a row hold.
var rowFields = map[string]string{"label": "a string", "logits": "a list of numbers", "probs": "a list of numbers"}

// rowProblem says what is wrong with a line in the words of the format.
func rowProblem(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Errorf("%q: found %s, want %s", wrong.Field, wrong.Value, rowFields[wrong.Field])
	}
	if errors.As(err, &wrong) {
		return fmt.Errorf("found %s, want an object", wrong.Value)
	}
	return fmt.Errorf("no JSON object: %w", err)
}

func (s *scoreRows) set() (*metrics.Set, error) {
	set, err := metrics.NewSet(s.labels, s.kind, s.x, s.y)
	var wrong *metrics.InputError
	if errors.As(err, &wrong) && wrong.Row >= 0 {
		return nil, badInputf("%s:%d: %s: %s", s.path, s.lines[wrong.Row], wrong.Class, wrong.Detail)
	}
	if err != nil {
		return nil, badInput(fmt.Errorf("%s: %w", s.path, err))
	}
	return set, nil
}
