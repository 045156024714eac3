package workflow

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

type nodeKind int

const (
	scalarNode nodeKind = iota
	mappingNode
	sequenceNode
)

// node is a value of a file with its place. Aliases are the node they stand for and merge keys
// are merged, so one node may be reached by several ways.
type node struct {
	kind nodeKind
	pos  Pos  // of the first character: quote, bracket, anchor or tag
	own  Pos  // of the scalar itself, behind anchor and tag
	bare bool // nothing is written: an empty value
	// broken: a problem of this value is reported already; nothing more is said about it.
	broken bool
	text   string // of a scalar
	quoted bool   // quoted or a block text, so never a number, boolean or null
	raw    bool   // text stands in the file as it is, on one line, from inner on
	inner  int    // columns from own to the first character of text
	tag    string // core tag such as !!str, or ""
	pairs  []pair
	items  []*node

	count int // nodes, aliases expanded
	depth int // collections inside one another, itself included
}

type pair struct {
	key   *node
	value *node
}

// at is the place of the code point number offset of the scalar's text.
func (n *node) at(offset int) Pos {
	if !n.raw {
		return n.pos
	}
	return n.own.right(n.inner + offset)
}

// parseYAML gives the root of the document, or nil when a problem was reported that leaves no
// tree. goccy/go-yaml has panics of its own on odd input; they are problems like others.
func parseYAML(src *source, r *report) (root *node) {
	start := Pos{src.file, 1, 1}
	defer func() {
		if p := recover(); p != nil {
			r.add(start, CodeYAMLSyntax, "", "the YAML parser gives up: %v", p)
			root = nil
		}
	}()
	c := &converter{src: src, report: r, anchors: map[string]*anchor{}}
	root, ok := c.parse(src.cuts.pieces(src.clean, pieceBytes))
	if !ok {
		return nil
	}
	if root == nil || root.isNull() {
		r.add(start, CodeEmptyFile, "a workflow has at least version and stages", "the file holds no workflow")
		return nil
	}
	if c.aliased && root.count > maxNodes {
		r.add(start, CodeAliasBomb, "", "over %d nodes when its aliases are expanded", maxNodes)
		return nil
	}
	return root
}

// parse gives the tree of all pieces; false when a problem was reported that leaves none.
func (c *converter) parse(pieces []piece) (root *node, ok bool) {
	for _, p := range pieces {
		c.before = p.before
		more, ok := c.parsePiece(p)
		switch {
		case !ok:
			return nil, false
		case more == nil:
		case root == nil:
			root = more
		case !p.join(root, more):
			c.fail(c.place(nil), CodeYAMLSyntax, "", "a mapping goes on as something else")
			return nil, false
		}
	}
	return root, true
}

func (c *converter) parsePiece(p piece) (root *node, ok bool) {
	file, err := parser.ParseBytes([]byte(p.text), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		c.reportSyntax(err)
		return nil, false
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			c.report.add(c.place(doc.Body.GetToken()), CodeYAMLSyntax, "", "text after the end of the document")
			return nil, false
		}
		root = c.convert(doc.Body)
	}
	return root, !c.failed
}

func (c *converter) reportSyntax(err error) {
	src := c.src
	at, message := c.place(nil), err.Error()
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		message = syntax.Message
		if t := syntax.Token; t != nil && t.Position != nil && t.Position.Line > 0 {
			at = Pos{src.file, min(t.Position.Line+c.before, len(src.lines)), max(t.Position.Column, 1)}
		}
	}
	c.report.add(at, CodeYAMLSyntax, expressionHint(src.line(at.Line)), "YAML: %s", message)
}

var needsQuotes = lazily(`\bwhen: *(!|"[^"]*" |'[^']*' )|\bgates: *\[ *!`)

// expressionHint is for a condition that YAML takes for something else.
func expressionHint(line string) string {
	if needsQuotes().MatchString(line) {
		return "an expression that starts with ! or a quote is quoted as a whole"
	}
	return ""
}

type anchor struct {
	node *node // nil while the anchored value is being read
}

// converter turns goccy's tree into nodes, in document order (an alias means the last anchor
// before it).
type converter struct {
	src     *source
	report  *report
	anchors map[string]*anchor
	before  int // lines of the file before the piece that is converted
	aliased bool
	failed  bool // a problem after which no tree is given
	level   int
}

func (c *converter) fail(at Pos, code, hint, format string, args ...any) *node {
	c.report.add(at, code, hint, format, args...)
	c.failed = true
	return &node{pos: at, own: at, broken: true, count: 1}
}

func (c *converter) place(t *token.Token) Pos {
	if t == nil || t.Position == nil {
		return Pos{c.src.file, c.before + 1, 1}
	}
	return Pos{c.src.file, t.Position.Line + c.before, t.Position.Column}
}

func (c *converter) convert(n ast.Node) *node {
	if c.failed {
		return &node{broken: true, count: 1}
	}
	if c.level++; c.level > 4*maxDepth {
		return c.fail(c.place(n.GetToken()), CodeTooDeep, "", "nested deeper than %d levels", maxDepth)
	}
	defer func() { c.level-- }()
	var out *node
	switch v := n.(type) {
	case *ast.MappingNode:
		out = c.mapping(v.Values, c.place(v.Start), v.IsFlowStyle)
	case *ast.MappingValueNode:
		out = c.mapping([]*ast.MappingValueNode{v}, c.place(v.GetToken()), false)
	case *ast.SequenceNode:
		out = c.sequence(v)
	case *ast.AnchorNode:
		out = c.anchor(v)
	case *ast.AliasNode:
		return c.alias(v)
	case *ast.TagNode:
		out = c.tagged(v)
	case *ast.LiteralNode:
		at := c.place(v.Start)
		return &node{pos: at, own: at, text: v.Value.Value, quoted: true, count: 1}
	default:
		return c.scalar(n)
	}
	if out.depth > maxDepth {
		return c.fail(out.pos, CodeTooDeep, "", "nested deeper than %d levels", maxDepth)
	}
	return out
}

func (c *converter) scalar(n ast.Node) *node {
	t := n.GetToken()
	at := c.place(t)
	out := &node{pos: at, own: at, text: t.Value, count: 1}
	rest := c.src.from(at)
	switch t.Type {
	case token.SingleQuoteType, token.DoubleQuoteType:
		out.quoted, out.inner = true, 1
		quote := "'"
		if t.Type == token.DoubleQuoteType {
			quote = `"`
		}
		out.raw = strings.HasPrefix(rest, quote+t.Value+quote)
	case token.ImplicitNullType:
		out.text, out.bare = "", true
	default:
		if n.Type() == ast.NullType && !strings.HasPrefix(rest, t.Value) {
			out.text, out.bare = "", true
		}
		out.raw = strings.HasPrefix(rest, t.Value)
	}
	return out
}

func (c *converter) sequence(v *ast.SequenceNode) *node {
	at := c.place(v.Start)
	out := &node{kind: sequenceNode, pos: at, own: at, count: 1}
	for _, item := range v.Values {
		i := c.unsplitItem(item)
		if i == nil {
			i = c.convert(item)
		}
		out.items = append(out.items, i)
		out.add(i)
	}
	out.depth++
	return out
}

func (n *node) add(child *node) {
	n.depth = max(n.depth, child.depth)
	// Saturates: a billion nodes are as many as too many.
	n.count = min(n.count+child.count, maxNodes*10)
}

func (c *converter) mapping(values []*ast.MappingValueNode, at Pos, isFlow bool) *node {
	out := &node{kind: mappingNode, pos: at, own: at, count: 1}
	var merges []pair
	for i, v := range values {
		if i == 0 && !isFlow {
			out.pos = c.place(v.Key.GetToken())
			out.own = out.pos
		}
		if _, ok := v.Key.(*ast.MergeKeyNode); ok {
			merges = append(merges, pair{key: &node{pos: c.place(v.Key.GetToken())}, value: c.convert(v.Value)})
			continue
		}
		p := c.unsplit(v)
		if p.key == nil {
			p = pair{key: c.key(v.Key), value: c.convert(v.Value)}
		}
		out.pairs = append(out.pairs, p)
		out.add(p.value)
	}
	if len(out.pairs) > maxEntries {
		return c.fail(out.pairs[maxEntries].key.pos, CodeTooLarge, "split the file with include", "a mapping of over %d entries", maxEntries)
	}
	if len(merges) > 0 && !c.failed {
		c.merge(out, merges)
	}
	out.depth++
	return out
}

// key reads a mapping's key. Keys are text: their source text, whatever it would resolve to.
func (c *converter) key(k ast.MapKeyNode) *node {
	var out *node
	if explicit, ok := k.(*ast.MappingKeyNode); ok && explicit.Value != nil {
		out = c.convert(explicit.Value)
	} else {
		out = c.convert(k)
	}
	if out.kind != scalarNode {
		return c.fail(out.pos, CodeWrongType, "", "a key is a text")
	}
	return out
}

func (n *node) isNull() bool {
	return n.kind == scalarNode && !n.quoted && !n.broken && resolvePlain(n.text).kind == Null
}

// what names the value's type in a message.
func (n *node) what() string {
	switch n.kind {
	case mappingNode:
		return "a mapping"
	case sequenceNode:
		return "a list"
	}
	if n.quoted {
		return fmt.Sprintf("the text %s", shorten(n.text))
	}
	switch resolvePlain(n.text).kind {
	case Null:
		return "nothing"
	case Int, Float:
		return "the number " + n.text
	case Bool:
		return "the boolean " + n.text
	}
	return fmt.Sprintf("the text %s", shorten(n.text))
}

// shorten quotes a text for a message and cuts it when long.
func shorten(text string) string {
	const limit = 40
	if utf8.RuneCountInString(text) > limit {
		text = string([]rune(text)[:limit]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
