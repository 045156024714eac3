package workflow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"golang.org/x/text/unicode/norm"
)

// conditionSpaces are the first words of what a `when` names.
var conditionSpaces = []string{"params", "matrix", "stages"}

// pathOf is a chain of names: stages.train.outcome, stages["my-stage"].outcome.
func pathOf(n ast.Node) ([]segment, bool) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return []segment{{norm.NFC.String(n.Value), n.Location().From}}, true
	case *ast.ChainNode:
		return pathOf(n.Node)
	case *ast.MemberNode:
		name, ok := n.Property.(*ast.StringNode)
		if !ok {
			return nil, false
		}
		path, ok := pathOf(n.Node)
		return append(path, segment{norm.NFC.String(name.Value), name.Location().From}), ok
	}
	return nil, false
}

// rootOf is the identifier that a chain of members starts with, if it does.
func rootOf(n ast.Node) *ast.IdentifierNode {
	for {
		switch x := n.(type) {
		case *ast.IdentifierNode:
			return x
		case *ast.ChainNode:
			n = x.Node
		case *ast.MemberNode:
			n = x.Node
		default:
			return nil
		}
	}
}

func isNameNode(n ast.Node) bool { return rootOf(n) != nil }

// name resolves a name, or an element or a field of a value.
func (r *conditionReader) name(at *ast.Node) {
	path, ok := pathOf(*at)
	if ok {
		r.path(at, path)
		return
	}
	switch n := (*at).(type) {
	case *ast.ChainNode:
		r.walk(&n.Node)
	case *ast.MemberNode:
		if field, ok := n.Property.(*ast.StringNode); ok {
			r.problem(field.Location().From, CodeUnknownName, "", "there is no %q in a value", field.Value)
			return
		}
		if path, ok := pathOf(n.Node); ok && slices.Contains(conditionSpaces, path[0].name) && !isValue(path) {
			r.problem(n.Location().From, CodeExpressionSyntax, "", "what a condition reads is written out: %s", r.forms())
			return
		}
		r.walk(&n.Node)
		r.walk(&n.Property)
	}
}

// isValue: the chain is long enough to be something with elements.
func isValue(path []segment) bool {
	return len(path) > 1 && (path[0].name != "stages" || len(path) > 2 && path[len(path)-1].name != "metrics")
}

func (r *conditionReader) forms() string {
	if r.gate {
		return "METRIC, params.NAME"
	}
	return "params.NAME, matrix.AXIS, stages.STAGE.outcome, stages.STAGE.metrics.NAME"
}

func (r *conditionReader) path(at *ast.Node, path []segment) {
	switch first := path[0].name; {
	case first == "params":
		r.param(at, path)
	case r.gate:
		r.ownMetric(at, path)
	case first == "matrix":
		r.axis(at, path)
	case first == "stages":
		r.ofStage(at, path)
	default:
		r.problem(path[0].offset, CodeUnknownName, r.nameHint(first), "no name %q", first)
	}
}

// nameHint says what may be meant by a word that is no name.
func (r *conditionReader) nameHint(word string) string {
	switch {
	case slices.Contains(endFunctions, word):
		return "write " + word + "()"
	case slices.Contains(outcomeWords, word):
		return fmt.Sprintf("write it as a text: %q", word)
	case r.d.stages[word] != nil:
		return "write stages." + word
	case r.d.params[word] != nil:
		return "write params." + word
	case word == "null" || word == "None":
		return "write nil"
	}
	return r.d.report.suggest(word, conditionSpaces)
}

// exactly reports a chain that is shorter or longer than it may be.
func (r *conditionReader) exactly(path []segment, length int) bool {
	switch {
	case len(path) < length:
		r.problem(path[0].offset, CodeExpressionSyntax, "", "%s is not whole; a condition reads %s", joined(path), r.forms())
	case len(path) > length:
		r.problem(path[length].offset, CodeUnknownName, r.bareHint(), "%s has nothing inside, so no %q", joined(path[:length]), path[length].name)
	default:
		return true
	}
	return false
}

// bareHint says what a gate reads: its metrics have no prefix, as in metrics.acc, which others know.
func (r *conditionReader) bareHint() string {
	if r.gate {
		return "a gate reads the stage's own metrics by their bare name, and params"
	}
	return ""
}

func joined(path []segment) string {
	var b strings.Builder
	for i, s := range path {
		switch {
		case i == 0:
			b.WriteString(s.name)
		case strings.Contains(s.name, "-"):
			fmt.Fprintf(&b, "[%q]", s.name)
		default:
			b.WriteString("." + s.name)
		}
	}
	return b.String()
}

func (r *conditionReader) param(at *ast.Node, path []segment) {
	if len(path) < 2 {
		r.exactly(path, 2)
		return
	}
	before := len(r.d.report.problems)
	v := r.d.paramValue(path[1].name, r.n.at(path[1].offset))
	if len(r.d.report.problems) > before {
		r.failed = true
		return
	}
	if r.exactly(path, 2) && r.fits(v, path[1]) {
		r.put(at, typeOfValue(v), Reading{Kind: ReadParam, Text: joined(path), Name: path[1].name, param: conditionValue(v)})
	}
}

// fits: no text is so long that comparing it takes long.
func (r *conditionReader) fits(v *Value, name segment) bool {
	if v.Kind == Text && len(v.Text) > maxOperand {
		r.problem(name.offset, CodeTooLarge, "", "%s is a text of over %d characters", name.name, maxOperand)
		return false
	}
	return true
}

func (r *conditionReader) axis(at *ast.Node, path []segment) {
	if len(path) < 2 {
		r.exactly(path, 2)
		return
	}
	m, name := &r.stage.matrix, path[1]
	a := m.axis(name.name)
	if a == nil && !m.unknown {
		known := make([]string, len(m.axes))
		for i := range m.axes {
			known[i] = m.axes[i].name
		}
		r.problem(name.offset, CodeUnknownMatrix, r.d.report.suggest(name.name, known), "the stage has no matrix axis %q", name.name)
		return
	}
	typ := readAny
	if a != nil {
		for i, v := range a.values {
			if !r.fits(v.Value, name) {
				return
			}
			if t := typeOfValue(v.Value); i == 0 {
				typ = t
			} else if t != typ {
				typ = readAny
			}
		}
		if a.broken {
			typ = readAny
		}
	}
	if r.exactly(path, 2) {
		r.put(at, typ, Reading{Kind: ReadAxis, Text: joined(path), Name: name.name})
	}
}

// ofStage reads an outcome or a metric of a stage, which the condition's stage therefore depends on.
func (r *conditionReader) ofStage(at *ast.Node, path []segment) {
	if len(path) < 2 {
		r.exactly(path, 3)
		return
	}
	where := r.n.at(path[1].offset)
	target := r.d.stages[path[1].name]
	if target == nil {
		r.failed = true
		r.d.unknownStage(path[1].name, where)
		return
	}
	r.stage.asks = append(r.stage.asks, Name{target.Name, where})
	read := Reading{Text: joined(path), Stage: target.Name}
	var collected, certain bool
	if collected, certain = collects(target, r.stage); collected {
		read.Collected = true
	}
	switch {
	case len(path) < 3:
		r.exactly(path, 3)
	case path[2].name == "outcome":
		if r.exactly(path, 3) {
			read.Kind = ReadOutcome
			r.put(at, typeOfRead(certain, collected, readText, readTexts), read)
		}
	case path[2].name != "metrics":
		r.problem(path[2].offset, CodeUnknownName, r.d.report.suggest(path[2].name, []string{"outcome", "metrics"}), "of a stage a condition reads outcome and metrics, no %q", path[2].name)
	case len(path) < 4:
		r.exactly(path, 4)
	case r.hasMetric(target, path[3]) && r.exactly(path, 4):
		read.Kind, read.Name = ReadMetric, path[3].name
		r.put(at, typeOfRead(certain, collected, readNumber, readNumbers), read)
	}
}

func typeOfRead(certain, collected bool, one, many string) string {
	switch {
	case !certain:
		return readAny
	case collected:
		return many
	}
	return one
}

// ownMetric reads a metric of the gate's own stage.
func (r *conditionReader) ownMetric(at *ast.Node, path []segment) {
	if r.hasMetric(r.stage, path[0]) && r.exactly(path, 1) {
		r.put(at, readNumber, Reading{Kind: ReadMetric, Text: path[0].name, Name: path[0].name})
	}
}

func (r *conditionReader) hasMetric(s *Stage, name segment) bool {
	if s.Spec == nil || !s.Spec.ReportsMetrics || slices.Contains(s.Spec.Metrics, name.name) {
		return true
	}
	hint := r.d.report.suggest(name.name, s.Spec.Metrics)
	if name.name == "metrics" || slices.Contains(conditionSpaces, name.name) {
		hint = cmp.Or(r.bareHint(), hint)
	}
	r.problem(name.offset, CodeUnknownMetric, hint, "the stage %q reports no metric %q", s.Name, name.name)
	return false
}

// dashed reports stages.my-stage.outcome, which is stages.my minus stage.outcome, as one mistake.
func (r *conditionReader) dashed(n *ast.BinaryNode) bool {
	path, ok := pathOf(n.Left)
	right := rootOf(n.Right)
	if !ok || right == nil || r.gate || len(path) != 2 || path[0].name != "stages" {
		return false
	}
	code, hint := CodeExpressionSyntax, `a name with a dash is written stages["my-stage"]`
	if r.d.stages[path[1].name] == nil {
		code = CodeUnknownStage
	}
	if name := path[1].name + "-" + right.Value; r.d.stages[name] != nil {
		hint = fmt.Sprintf("write stages[%q]", name)
	}
	r.problem(path[1].offset, code, hint, "no stage %q", path[1].name)
	return true
}
