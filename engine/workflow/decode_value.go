package workflow

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// scope is what references mean at some place.
type scope struct {
	stage    *Stage   // gathers references to outputs
	instance Instance // values of the stage's axes
	first    bool     // the first instance: it alone gathers references
}

// value turns a node into a value: scalars resolved, parameters put in. allowed says which
// references may stand in it. A value with a problem is broken, the rest around it is not.
func (d *document) value(n *node, sc scope, allowed namespaces) *Value {
	v := &Value{Pos: n.pos, Kind: broken}
	if n.broken {
		return v
	}
	switch n.kind {
	case sequenceNode:
		v.Kind = List
		v.Items = make([]*Value, len(n.items))
		for i, item := range n.items {
			v.Items[i] = d.value(item, sc, allowed)
		}
	case mappingNode:
		v.Kind = Map
		for _, p := range d.entries(n) {
			if d.plainKey(p.key) {
				v.Fields = append(v.Fields, Field{p.key.text, p.key.pos, d.value(p.value, sc, allowed)})
			}
		}
	default:
		d.scalarValue(v, n, sc, allowed)
	}
	return v
}

// plainKey reports a key that holds a reference.
func (d *document) plainKey(key *node) bool {
	if key.broken {
		return false
	}
	if !strings.Contains(key.text, "${") {
		return true
	}
	if _, problem := splitText(key.text, 0); problem != nil {
		d.report.add(key.at(problem.offset), problem.code, problem.hint, "%s", problem.text)
		return false
	}
	return true
}

func (d *document) scalarValue(v *Value, n *node, sc scope, allowed namespaces) {
	v.source = n.text
	if n.quoted {
		d.textValue(v, n, sc, allowed)
		return
	}
	got := resolvePlain(n.text)
	switch {
	case got.code == CodeAmbiguousNumber:
		d.report.add(n.pos, got.code, "quote it, or drop the zero", "%s is 8-based to some readers and 10-based to others", n.text)
	case got.code != "":
		d.report.add(n.pos, got.code, "", "the number %s is out of range", n.text)
	case got.kind == Text:
		d.textValue(v, n, sc, allowed)
	default:
		v.Kind, v.Bool, v.Int, v.Float = got.kind, got.b, got.i, got.f
		if n.tag == "!!float" && v.Kind == Int {
			v.Kind, v.Float = Float, float64(v.Int)
		}
	}
}

func (d *document) textValue(v *Value, n *node, sc scope, allowed namespaces) {
	if !strings.Contains(n.text, "${") {
		v.Kind, v.Text = Text, n.text
		return
	}
	parts, problem := splitText(n.text, allowed)
	if problem != nil {
		d.report.add(n.at(problem.offset), problem.code, problem.hint, "%s", problem.text)
		return
	}
	if !d.spend(len(parts)-1, n.pos) {
		return
	}
	values := make([]*Value, len(parts))
	ok := true
	for i, p := range parts {
		values[i] = d.partValue(p, n, sc)
		if values[i].Kind == List && len(parts) > 1 {
			d.report.add(n.at(p.offset), CodeListInText, "", "a list of outputs inside a longer text")
			ok = false
		}
		ok = ok && values[i].Kind != broken
	}
	if !ok || !d.spendText(values, n.pos) {
		return
	}
	if len(values) == 1 {
		pos := v.Pos
		*v = *values[0]
		v.Pos = pos
		return
	}
	concat(v, values)
}

func (d *document) partValue(p part, n *node, sc scope) *Value {
	if p.path == nil {
		return &Value{Kind: Text, Pos: n.pos, Text: p.literal, source: p.literal}
	}
	name := p.path[1]
	at := n.at(name.offset)
	switch p.path[0].name {
	case "params":
		return d.paramValue(name.name, at)
	case "matrix":
		return d.matrixValue(name.name, at, sc)
	case "stages":
		return d.outputValue(name.name, at, p.path[3].name, n.at(p.path[3].offset), sc)
	}
	return d.secretValue(name.name, at)
}

func (d *document) paramValue(name string, at Pos) *Value {
	p, ok := d.params[name]
	if !ok && d.partial {
		return &Value{Kind: broken, Pos: at}
	}
	if !ok {
		known := make([]string, len(d.order))
		for i, o := range d.order {
			known[i] = o.Name
		}
		hint := d.report.suggest(name, known)
		if len(known) == 0 {
			hint = "the workflow declares no params"
		}
		d.report.add(at, CodeUnknownParam, hint, "no parameter %q", name)
		return &Value{Kind: broken, Pos: at}
	}
	if p.value == nil {
		return &Value{Kind: broken, Pos: at}
	}
	v := *p.value
	v.Pos, v.typed = at, p.Type
	return &v
}

func (d *document) matrixValue(name string, at Pos, sc scope) *Value {
	for _, m := range sc.instance {
		if m.Axis == name {
			return m.Value
		}
	}
	if sc.stage == nil || !sc.stage.matrix.unknown {
		var known []string
		for _, m := range sc.instance {
			known = append(known, m.Axis)
		}
		d.report.add(at, CodeUnknownMatrix, d.report.suggest(name, known), "the stage has no matrix axis %q", name)
	}
	return &Value{Kind: broken, Pos: at}
}

func (d *document) outputValue(stage string, at Pos, output string, outputAt Pos, sc scope) *Value {
	s, ok := d.stages[stage]
	if !ok {
		d.unknownStage(stage, at)
		return &Value{Kind: broken, Pos: at}
	}
	ref := OutputRef{Stage: s.Name, Output: output, Pos: at}
	if sc.first {
		sc.stage.refs = append(sc.stage.refs, ref)
	}
	if !d.hasOutput(s, output, outputAt) || sc.stage == nil {
		return &Value{Kind: broken, Pos: at}
	}
	v := pairOutput(ref, s, sc, at)
	if !d.spend(len(v.Items), at) {
		return &Value{Kind: broken, Pos: at}
	}
	return v
}

func (d *document) unknownStage(name string, at Pos) {
	if d.partial || d.refused[name] {
		return
	}
	var known []string
	if d.report.suggestions < maxSuggestions {
		for _, s := range d.workflow.Stages {
			known = append(known, s.Name)
		}
	}
	d.report.add(at, CodeUnknownStage, d.report.suggest(name, known), "no stage %q", name)
}

// hasOutput tells whether the stage makes the output, and reports it when it does not.
func (d *document) hasOutput(s *Stage, output string, at Pos) bool {
	if s.Spec == nil {
		return true
	}
	known := make([]string, len(s.Spec.Outputs))
	for i, o := range s.Spec.Outputs {
		if known[i] = o.Name; o.Name == output {
			return true
		}
	}
	named := d.namedOutputs(s)
	if slices.Contains(named, output) {
		return true
	}
	known = append(known, named...)
	d.report.add(at, CodeUnknownOutput, d.report.suggest(output, known), "the stage %q has no output %q", s.Name, output)
	return false
}

// namedOutputs are the outputs that the stage's own `with` names, in the parameter that its plugin
// marks so.
func (d *document) namedOutputs(s *Stage) []string {
	with, ok := s.body.fields["with"]
	if !ok {
		return nil
	}
	schema := d.plugins[s.Uses].schema
	var names []string
	for _, e := range with.value.pairs {
		if p := schema.properties[e.key.text]; p == nil || !p.outputs {
			continue
		}
		for _, o := range e.value.pairs {
			names = append(names, norm.NFC.String(o.key.text))
		}
	}
	return names
}

// concat makes v the text of all parts; neighbouring texts become one.
func concat(v *Value, parts []*Value) {
	var out []*Value
	var text strings.Builder
	var textAt Pos
	flush := func() {
		if text.Len() > 0 {
			out = append(out, &Value{Kind: Text, Pos: textAt, Text: text.String()})
			text.Reset()
		}
	}
	for _, p := range parts {
		switch p.Kind {
		case Output, Secret, Concat:
			flush()
			out = append(out, p)
			continue
		}
		if text.Len() == 0 {
			textAt = p.Pos
		}
		text.WriteString(p.asText())
	}
	if len(out) == 0 {
		v.Kind, v.Text = Text, text.String()
		return
	}
	flush()
	v.Kind, v.Parts = Concat, out
}
