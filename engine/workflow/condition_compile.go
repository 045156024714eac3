package workflow

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// What bounds the work on conditions: the parser and the checker of expr-lang recurse by length
// and nesting, and its checker visits the middle of a < b < c twice, in each level of nesting.
const (
	maxExpression = 4096 // code points
	maxVisits     = 10_000
	maxConditions = 10_000 // of a workflow
	maxAllVisits  = 300_000
	maxGates      = 256  // of a stage
	maxOperand    = 4096 // bytes of a parameter's or an axis' text
	maxPattern    = 256  // bytes of what `matches` takes
)

// Names of what stands in an expression in place of what it reads: the expression
// stages.train.metrics.loss is compiled as a call of the function that gives a number, so that the
// checker knows its type. No text of a user has these names, which hold a blank.
const (
	lookupName  = " lookup"
	readTruth   = " truth"
	readWhole   = " whole"
	readNumber  = " number"
	readText    = " text"
	readNumbers = " numbers"
	readTexts   = " texts"
	readAny     = " any"
)

// libraryFunctions are those of expr-lang that a condition may call.
var libraryFunctions = []string{
	"len", "abs", "ceil", "floor", "round", "min", "max", "sum", "mean", "median", "int", "float", "string", "lower", "upper", "trim",
}

// endFunctions ask how what the instance depends on ended.
var endFunctions = []string{"success", "failure", "always"}

// newExpressions is what all conditions of a workflow are checked and compiled with. It caches, so
// it belongs to one reader.
func newExpressions() *conf.Config {
	c := conf.CreateNew()
	c.Optimize = false // it evaluates what is constant: 1..1000000000
	c.MaxNodes = maxVisits
	for name := range c.Builtins {
		if !contains(libraryFunctions, name) {
			c.Disabled[name] = true
			delete(c.Builtins, name)
		}
	}
	var none lookup
	c.WithEnv(map[string]any{lookupName: none})
	give := func(args ...any) (any, error) { return args[0].(lookup)(args[1].(int)) }
	for name, typ := range map[string]any{
		readTruth:   new(func(lookup, int) bool),
		readWhole:   new(func(lookup, int) int),
		readNumber:  new(func(lookup, int) float64),
		readText:    new(func(lookup, int) string),
		readNumbers: new(func(lookup, int) []float64),
		readTexts:   new(func(lookup, int) []string),
		readAny:     new(func(lookup, int) any),
	} {
		c.Functions[name] = &builtin.Function{Name: name, Func: give, Types: []reflect.Type{reflect.TypeOf(typ).Elem()}}
	}
	return c
}

// expression reads the condition in n: of the stage s, its `when` or, gate, one of its gates. nil
// when it has a problem.
func (d *document) expression(n *node, s *Stage, what string, gate bool) *Condition {
	if n.broken {
		return nil
	}
	if n.kind != scalarNode || !n.quoted && resolvePlain(n.text).kind != Text {
		d.report.add(n.pos, CodeWrongType, "", "%s wants a text, an expression, not %s", what, n.what())
		return nil
	}
	if i := strings.Index(n.text, "${"); i >= 0 {
		d.report.add(n.at(utf8.RuneCountInString(n.text[:i])), CodeExpressionSyntax, "an expression names things without ${ }: params.NAME, stages.STAGE.metrics.NAME",
			"%s holds ${", what)
		return nil
	}
	if utf8.RuneCountInString(n.text) > maxExpression {
		d.report.add(n.pos, CodeTooLarge, "", "%s is an expression of over %d characters", what, maxExpression)
		return nil
	}
	if d.conditions++; d.conditions > maxConditions || d.visits > maxAllVisits {
		d.report.add(n.pos, CodeTooLarge, "", "the expressions of the workflow are too many, or too large")
		return nil
	}
	if d.expressions == nil {
		d.expressions = newExpressions()
	}
	r := &conditionReader{d: d, n: n, stage: s, what: what, gate: gate, made: map[ast.Node]bool{}, index: map[string]int{},
		c: &Condition{Text: n.text, Pos: n.pos}}
	return r.read()
}

// conditionReader reads one condition.
type conditionReader struct {
	d     *document
	n     *node
	stage *Stage
	what  string // when or gate, for messages
	gate  bool

	c       *Condition
	index   map[string]int    // of a reading, by its text, and ? for an optional one
	made    map[ast.Node]bool // calls put in place of names; true for outcomes
	visits  int
	failed  bool
	guarded int // how many ?? and comparisons with nil are around
}

func (r *conditionReader) read() (c *Condition) {
	defer func() { // as for YAML: a panic of the library on odd input is a problem like others
		if p := recover(); p != nil {
			r.problem(0, CodeExpressionSyntax, "", "%s cannot be read: %v", r.what, p)
			c = nil
		}
	}()
	tree, err := parser.ParseWithConfig(r.c.Text, r.d.expressions)
	if err != nil {
		r.syntax(err)
		return nil
	}
	r.walk(&tree.Node)
	if r.failed || !r.check(tree) {
		return nil
	}
	if r.c.program, err = compiler.Compile(tree, r.d.expressions); err != nil {
		r.problem(0, CodeExpressionSyntax, "", "%s cannot be compiled: %v", r.what, err)
		return nil
	}
	return r.c
}

// problem reports at a code point of the expression.
func (r *conditionReader) problem(offset int, code, hint, format string, args ...any) {
	r.failed = true
	r.d.report.add(r.n.at(offset), code, hint, format, args...)
}

var unexpectedToken = lazily(`^unexpected token \w+(?:\("(.*)"\))?$`)

func (r *conditionReader) syntax(err error) {
	message, offset := err.Error(), 0
	var at *file.Error
	if errors.As(err, &at) {
		message, offset = at.Message, at.From
	}
	hint := ""
	switch m := unexpectedToken().FindStringSubmatch(message); {
	case strings.TrimSpace(r.c.Text) == "":
		message = "nothing is written"
	case message == "unexpected token EOF":
		message = "it ends too early"
	case m != nil:
		message, hint = fmt.Sprintf("unexpected %s", m[1]), operatorHints[m[1]]
	}
	r.problem(offset, CodeExpressionSyntax, hint, "%s is no expression: %s", r.what, message)
}

// operatorHints are for those who think of another language.
var operatorHints = map[string]string{
	"=": "compare with ==", "===": "compare with ==", "&": "write and, or &&", "<>": "compare with !=",
	"AND": "write and", "OR": "write or", "NOT": "write not", "IN": "write in", "is": "compare with ==",
}

// check asks expr-lang whether the types fit, and reports the first place where they do not.
func (r *conditionReader) check(tree *parser.Tree) bool {
	typ, err := checker.Check(tree, r.d.expressions)
	if err != nil {
		message, offset := err.Error(), 0
		var at *file.Error
		if errors.As(err, &at) {
			message, offset = at.Message, at.From
		}
		hint := ""
		if strings.Contains(message, "[]") && r.readsList() {
			hint = `a stage that is collected over its matrix gives a list: use min(…), max(…), mean(…), or "failed" in …`
		}
		r.problem(offset, CodeWrongType, hint, "%s: %s", r.what, plainTypes.Replace(message))
		return false
	}
	_, nothing := tree.Node.(*ast.NilNode)
	if kind := typ.Kind(); nothing || kind != reflect.Bool && kind != reflect.Interface {
		r.failed = true
		r.d.report.add(r.n.pos, CodeWrongType, "compare it with something", "%s wants an expression that is true or false, not a value (%s)", r.what, plainTypes.Replace(typ.String()))
		return false
	}
	return true
}

func (r *conditionReader) readsList() bool {
	for _, read := range r.c.reads {
		if read.Collected {
			return true
		}
	}
	return false
}

// put replaces a node by the call that gives the value of a reading.
func (r *conditionReader) put(at *ast.Node, typ string, read Reading) {
	key := read.Text
	if read.Optional = r.guarded > 0; read.Optional {
		key += "?"
	}
	i, known := r.index[key]
	if !known {
		i = len(r.c.reads)
		r.index[key] = i
		r.c.reads = append(r.c.reads, read)
	}
	callee, number, given := &ast.IdentifierNode{Value: typ}, &ast.IntegerNode{Value: i}, &ast.IdentifierNode{Value: lookupName}
	call := &ast.CallNode{Callee: callee, Arguments: []ast.Node{given, number}}
	for _, n := range []ast.Node{callee, number, given, call} {
		n.SetLocation((*at).Location())
	}
	*at = call
	r.made[call] = read.Kind == ReadOutcome
	if read.Kind == ReadOutcome || read.Kind == ReadSuccess || read.Kind == ReadFailure {
		r.c.AsksEnds = true
	}
}
