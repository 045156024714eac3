package workflow

import (
	"errors"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// walk puts calls in place of what is named below *at, and reports what a condition may not hold.
func (r *conditionReader) walk(at *ast.Node) {
	if *at == nil {
		return
	}
	if _, own := r.made[*at]; own {
		return
	}
	r.d.visits++
	if r.visits++; r.visits > maxVisits {
		if r.visits == maxVisits+1 {
			r.problem(0, CodeTooLarge, "", "%s is too large an expression", r.what)
		}
		return
	}
	switch n := (*at).(type) {
	case *ast.NilNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.StringNode:
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode:
		r.name(at)
	case *ast.UnaryNode:
		r.walk(&n.Node)
	case *ast.BinaryNode:
		r.binary(n)
	case *ast.ConditionalNode:
		r.walk(&n.Cond)
		r.walk(&n.Exp1)
		r.walk(&n.Exp2)
	case *ast.ArrayNode:
		r.walkAll(n.Nodes)
	case *ast.SliceNode:
		r.walk(&n.Node)
		r.walk(&n.From)
		r.walk(&n.To)
	case *ast.CallNode:
		r.call(at, n)
	case *ast.BuiltinNode:
		r.builtin(n)
	default:
		r.problem((*at).Location().From, CodeExpressionSyntax, "", "%s takes no variables, mappings or predicates", r.what)
	}
}

func (r *conditionReader) walkAll(nodes []ast.Node) {
	for i := range nodes {
		r.walk(&nodes[i])
	}
}

func (r *conditionReader) call(at *ast.Node, n *ast.CallNode) {
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		if !r.gate && slices.Contains(endFunctions, callee.Value) {
			r.ends(at, n, callee.Value)
			return
		}
		r.unknownFunction(callee.Value, callee.Location().From)
		r.walkAll(n.Arguments)
	case *ast.MemberNode:
		name, _ := callee.Property.(*ast.StringNode)
		if name != nil {
			r.unknownFunction(name.Value, name.Location().From)
			return
		}
		r.problem(n.Location().From, CodeExpressionSyntax, "", "%s calls what is no function", r.what)
	default:
		r.problem(n.Location().From, CodeExpressionSyntax, "", "%s calls what is no function", r.what)
	}
}

// ends reads success(), failure() and always().
func (r *conditionReader) ends(at *ast.Node, n *ast.CallNode, name string) {
	if len(n.Arguments) > 0 {
		r.problem(n.Location().From, CodeWrongType, "name a stage by stages.STAGE.outcome", "%s() takes nothing: it looks at all that the stage depends on", name)
		return
	}
	switch name {
	case "success":
		r.put(at, readTruth, Reading{Kind: ReadSuccess, Text: "success()"})
	case "failure":
		r.put(at, readTruth, Reading{Kind: ReadFailure, Text: "failure()"})
	default:
		r.c.AsksEnds = true
		yes := &ast.BoolNode{Value: true}
		yes.SetLocation(n.Location())
		*at = yes
	}
}

func (r *conditionReader) unknownFunction(name string, offset int) {
	known := libraryFunctions
	if !r.gate {
		known = append(slices.Clone(endFunctions), known...)
	}
	hint := r.d.report.suggest(name, known)
	if r.gate && slices.Contains(endFunctions, name) {
		hint = "a gate is asked about its own stage, after it succeeded"
	}
	r.problem(offset, CodeUnknownFunction, hint, "no function %q", name)
}

func (r *conditionReader) builtin(n *ast.BuiltinNode) {
	if !slices.Contains(libraryFunctions, n.Name) {
		r.unknownFunction(n.Name, n.Location().From)
		return // what it takes is not what a condition may hold
	}
	r.walkAll(n.Arguments)
}

func (r *conditionReader) binary(n *ast.BinaryNode) {
	before := len(r.d.report.problems)
	if n.Operator == "-" && r.dashed(n) {
		return
	}
	_, leftNil := n.Left.(*ast.NilNode)
	_, rightNil := n.Right.(*ast.NilNode)
	equality := n.Operator == "==" || n.Operator == "!="
	r.guardedWalk(&n.Left, n.Operator == "??" || equality && rightNil)
	if n.Operator == "-" && len(r.d.report.problems) > before && isNameNode(n.Right) {
		return // params.my-name is one mistake
	}
	r.guardedWalk(&n.Right, equality && leftNil)
	switch n.Operator {
	case "matches":
		r.pattern(n)
	case "..":
		from, ok1 := n.Left.(*ast.IntegerNode)
		to, ok2 := n.Right.(*ast.IntegerNode)
		if ok1 && ok2 && to.Value-from.Value >= maxElements {
			r.problem(n.Location().From, CodeOutOfRange, "compare with <= and >=", "a range of over %d numbers", maxElements)
		}
	case "==", "!=":
		r.outcomeWord(n.Left, n.Right)
		r.outcomeWord(n.Right, n.Left)
	case "in":
		r.outcomeWord(n.Right, n.Left)
		if list, ok := n.Right.(*ast.ArrayNode); ok {
			for _, item := range list.Nodes {
				r.outcomeWord(n.Left, item)
			}
		}
	}
}

// guardedWalk walks what the expression says a way without of.
func (r *conditionReader) guardedWalk(at *ast.Node, guarded bool) {
	if guarded {
		r.guarded++
		defer func() { r.guarded-- }()
	}
	r.walk(at)
}

// pattern: one that is known now, so that how long it takes is known too.
func (r *conditionReader) pattern(n *ast.BinaryNode) {
	text, ok := n.Right.(*ast.StringNode)
	switch {
	case !ok:
		r.problem(n.Location().From, CodeExpressionSyntax, "", "matches wants a pattern that is written out")
	case len(text.Value) > maxPattern:
		r.problem(text.Location().From, CodeTooLarge, "", "a pattern of over %d characters", maxPattern)
	default:
		if _, err := r.d.compilePattern(text.Value); errors.Is(err, errPatternSize) {
			r.problem(text.Location().From, CodeTooLarge, "", "%v", err)
		} else if err != nil {
			r.problem(text.Location().From, CodeExpressionSyntax, "", "%s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
	}
}

// outcomeWords are how a stage can have ended for another. "cached" is no mistake, but never so:
// what is reused has succeeded.
var outcomeWords = []string{"succeeded", "failed", "skipped", "blocked", "cancelled", "cached"}

// outcomeWord reports a text that is compared with an outcome and is none.
func (r *conditionReader) outcomeWord(outcome, text ast.Node) {
	word, ok := text.(*ast.StringNode)
	if !ok || !r.made[outcome] || slices.Contains(outcomeWords, word.Value) {
		return
	}
	hint := r.d.report.suggest(word.Value, outcomeWords[:len(outcomeWords)-1])
	r.problem(word.Location().From, CodeBadEnum, hint, "no stage ends as %s", shorten(word.Value))
}
