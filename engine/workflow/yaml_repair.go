package workflow

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// unsplit undoes what goccy does to a plain text with a colon inside a flow collection: it cuts
// [a:b] into {a: b}, and {a:b} likewise, where YAML has the text a:b. It gives the text as key of
// an empty value, or no key when v is an entry indeed.
func (c *converter) unsplit(v *ast.MappingValueNode) pair {
	colon := c.place(v.GetToken())
	rest := c.src.from(colon.right(1))
	key, value := v.Key.GetToken(), v.Value.GetToken()
	if _, ok := v.Value.(ast.ScalarNode); !ok || rest == "" || value.Value == "" {
		return pair{}
	}
	if !isPlain(key) || !isPlain(value) || !strings.HasPrefix(rest, value.Value) || c.place(value) != colon.right(1) {
		return pair{}
	}
	at := c.place(key)
	text := key.Value + ":" + value.Value
	empty := &node{pos: colon, own: colon, bare: true, count: 1}
	return pair{key: &node{pos: at, own: at, text: text, raw: strings.HasPrefix(c.src.from(at), text), count: 1}, value: empty}
}

func isPlain(t *token.Token) bool {
	switch t.Type {
	case token.SingleQuoteType, token.DoubleQuoteType, token.AnchorType, token.AliasType, token.TagType, token.ImplicitNullType:
		return false
	}
	return true
}

// unsplitItem gives the text of a list's item that was cut, or nil.
func (c *converter) unsplitItem(item ast.Node) *node {
	switch v := item.(type) {
	case *ast.MappingValueNode:
		return c.unsplit(v).key
	case *ast.MappingNode:
		if len(v.Values) == 1 && !v.IsFlowStyle {
			return c.unsplit(v.Values[0]).key
		}
	}
	return nil
}
