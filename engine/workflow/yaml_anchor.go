package workflow

import (
	"github.com/goccy/go-yaml/ast"
)

func (c *converter) anchor(v *ast.AnchorNode) *node {
	a := &anchor{}
	c.anchors[v.Name.GetToken().Value] = a
	out := c.convert(v.Value)
	out.pos = c.place(v.Start)
	a.node = out
	return out
}

func (c *converter) alias(v *ast.AliasNode) *node {
	at := c.place(v.Start)
	name := v.Value.GetToken().Value
	a := c.anchors[name]
	if a == nil {
		return c.fail(at, CodeUnknownAnchor, "an anchor &"+name+" must stand before it", "no anchor %q", name)
	}
	if a.node == nil {
		return c.fail(at, CodeAliasCycle, "", "the anchor %q holds itself", name)
	}
	c.aliased = true
	return a.node
}

var coreTags = map[string]bool{
	"!!str": true, "!!int": true, "!!float": true, "!!bool": true, "!!null": true, "!!map": true, "!!seq": true,
}

func (c *converter) tagged(v *ast.TagNode) *node {
	at := c.place(v.Start)
	tag := v.Start.Value
	out := &node{pos: at, own: at, bare: true, count: 1}
	if v.Value != nil {
		out = c.convert(v.Value)
	}
	out.pos = at
	if !coreTags[tag] {
		hint := expressionHint(c.src.line(at.Line))
		if hint == "" {
			hint = "only the core tags are known: !!str !!int !!float !!bool !!null !!map !!seq"
		}
		c.report.add(at, CodeUnknownTag, hint, "unknown tag %q", tag)
		out.broken = true
		return out
	}
	c.applyTag(out, tag)
	return out
}

// applyTag checks that the value can be what the tag says.
func (c *converter) applyTag(n *node, tag string) {
	wrong := func() {
		c.report.add(n.pos, CodeWrongType, "", "the value is not what its tag %s says", tag)
		n.broken = true
	}
	switch tag {
	case "!!map", "!!seq":
		if want := map[string]nodeKind{"!!map": mappingNode, "!!seq": sequenceNode}[tag]; n.kind != want {
			wrong()
		}
		return
	}
	if n.kind != scalarNode {
		wrong()
		return
	}
	if tag == "!!str" {
		n.quoted = true
		return
	}
	got := resolvePlain(n.text).kind
	want := map[string]Kind{"!!int": Int, "!!float": Float, "!!bool": Bool, "!!null": Null}[tag]
	if got != want && (want != Float || got != Int) {
		wrong()
		return
	}
	n.quoted = false
	n.tag = tag
}

// merge adds the entries of `<<` values that the mapping does not have itself; earlier ones win.
func (c *converter) merge(out *node, merges []pair) {
	has := map[string]bool{}
	for _, p := range out.pairs {
		has[p.key.text] = true
	}
	var sources []*node
	for _, m := range merges {
		if m.value.kind == sequenceNode {
			sources = append(sources, m.value.items...)
			continue
		}
		sources = append(sources, m.value)
	}
	for _, s := range sources {
		if s.kind != mappingNode {
			if !s.broken {
				c.report.add(s.pos, CodeWrongType, "", "<< takes a mapping or a list of mappings")
			}
			continue
		}
		for _, p := range s.pairs {
			if !has[p.key.text] {
				has[p.key.text] = true
				out.pairs = append(out.pairs, p)
				out.add(p.value)
			}
		}
	}
}
