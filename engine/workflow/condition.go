package workflow

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// Condition is the expression of a `when` or a gate, checked against what it names.
type Condition struct {
	Text string
	Pos  Pos
	// AsksEnds: it looks at how stages ended, so it is asked whatever became of them. Any other
	// expression is asked only when what the stage depends on succeeded.
	AsksEnds bool

	reads   []Reading
	program *vm.Program
}

// ReadKind is what a condition reads.
type ReadKind int

// A condition reads parameters, axes, how the stages before it ended, and metrics. The first two
// it knows itself.
const (
	ReadParam ReadKind = iota
	ReadAxis
	ReadSuccess // success(): nothing that the instance depends on failed
	ReadFailure // failure(): something did
	ReadOutcome
	ReadMetric
)

// Reading is a value that a condition reads.
type Reading struct {
	Kind ReadKind
	Text string // as in stages.train.metrics.loss, or loss in a gate
	// Stage of an outcome or a metric; empty in a gate, which reads its own stage's.
	Stage string
	Name  string // of a parameter, axis or metric
	// Collected: of several instances, so a list.
	Collected bool
	// Optional: the condition says what it does without it, by ?? or by comparing it with nil.
	Optional bool

	param any
}

// Found is a value that was read.
type Found struct {
	Reading
	Value any
}

// Finder gives what a condition reads: a bool for success and failure, a string for an outcome, a
// float64 for a metric, nil for one that there is none of, and lists of those ([]string,
// []float64) for what is collected. An error ends the evaluation, which returns it; so does a
// metric that there is none of, unless it is Optional.
type Finder func(Reading) (any, error)

// lookup answers with the value number i.
type lookup func(i int) (any, error)

// maxElements bounds the lists that an evaluation makes.
const maxElements = 10_000

// Eval asks the condition for one instance. It gives the values that were looked at, too: what an
// operator passes over is not.
func (c *Condition) Eval(instance Instance, find Finder) (bool, []Found, error) {
	var found []Found
	known := make([]bool, len(c.reads))
	values := make([]any, len(c.reads))
	var given lookup = func(i int) (any, error) {
		if known[i] {
			return values[i], nil
		}
		v, err := c.reads[i].find(instance, find)
		if err != nil {
			return nil, err
		}
		known[i], values[i] = true, v
		found = append(found, Found{c.reads[i], v})
		return v, nil
	}
	machine := vm.VM{MemoryBudget: maxElements}
	out, err := machine.Run(c.program, map[string]any{lookupName: given})
	if err != nil {
		var at *file.Error
		if errors.As(err, &at) {
			err = at.Prev
			if err == nil {
				err = errors.New(plainTypes.Replace(at.Message))
			}
		}
		return false, found, err
	}
	yes, ok := out.(bool)
	if !ok {
		return false, found, fmt.Errorf("it gives %s, not true or false", valueText(out))
	}
	return yes, found, nil
}

func (r Reading) find(instance Instance, find Finder) (any, error) {
	switch r.Kind {
	case ReadParam:
		return r.param, nil
	case ReadAxis:
		for _, m := range instance {
			if m.Axis == r.Name {
				return conditionValue(m.Value), nil
			}
		}
		return nil, nil
	}
	v, err := find(r)
	if err == nil && v == nil && !r.Optional {
		err = fmt.Errorf("%s was not reported", r.Text)
	}
	return v, err
}

// conditionValue is a scalar as expressions have it.
func conditionValue(v *Value) any {
	if v.Kind == Int {
		return int(v.Int)
	}
	if v.Kind == Float {
		return v.Float
	}
	return v.scalar()
}

// Params are the parameters that the condition reads, with their values.
func (c *Condition) Params() []Found {
	var out []Found
	for _, r := range c.reads {
		if r.Kind == ReadParam {
			out = append(out, Found{r, r.param})
		}
	}
	return out
}

// Shown says the values that were read, for people: loss was 2.31, params.cap was 0.05.
func Shown(found []Found) string {
	short := map[string]int{}
	for _, f := range found {
		short[f.short()]++
	}
	parts := make([]string, len(found))
	for i, f := range found {
		name := f.short()
		if short[name] > 1 {
			name = f.Text
		}
		parts[i] = name + " was " + valueText(f.Value)
	}
	return strings.Join(parts, ", ")
}

func (f Found) short() string {
	switch f.Kind {
	case ReadMetric:
		return f.Name
	case ReadOutcome:
		return "the outcome of " + f.Stage
	}
	return f.Text
}

// shownElements is how many elements of a list a message has.
const shownElements = 8

func valueText(v any) string {
	switch v := v.(type) {
	case nil:
		return "not reported"
	case float64:
		return strconv.FormatFloat(v, 'g', 6, 64)
	case string:
		return shorten(v)
	case []float64:
		return listText(len(v), func(i int) string { return valueText(v[i]) })
	case []string:
		return listText(len(v), func(i int) string { return valueText(v[i]) })
	}
	return fmt.Sprint(v)
}

func listText(n int, element func(int) string) string {
	parts := make([]string, 0, shownElements+1)
	for i := range n {
		if i == shownElements {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, element(i))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// plainTypes names the types of expressions in messages.
var plainTypes = strings.NewReplacer(
	"[]float64", "list of numbers", "[]string", "list of texts", "[]int", "list of ints", "[]interface {}", "list",
	"float64", "number", "string", "text", "<nil>", "nothing", "interface {}", "anything",
)

// typeOfValue names the function that reads a value of this kind; see newExpressions.
func typeOfValue(v *Value) string {
	switch v.Kind {
	case Bool:
		return readTruth
	case Int:
		if v.Int >= math.MinInt && v.Int <= math.MaxInt {
			return readWhole
		}
	case Float:
		return readNumber
	case Text:
		return readText
	}
	return readAny
}
