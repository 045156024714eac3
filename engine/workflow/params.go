package workflow

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
)

// ParamType is the type of a parameter.
type ParamType string

const (
	StringParam   ParamType = "string"
	IntParam      ParamType = "int"
	FloatParam    ParamType = "float"
	BoolParam     ParamType = "bool"
	PathParam     ParamType = "path"
	DurationParam ParamType = "duration"
	SizeParam     ParamType = "size"
)

var paramTypes = []string{"string", "int", "float", "bool", "path", "duration", "size"}

// param is a parameter while it is read. value is nil when it has a problem.
type param struct {
	Param
	value    *Value
	min, max *Value
	enum     []*Value
	pattern  *pattern
	// unsure: something that a value is checked against has a problem itself.
	unsure bool
}

func (d *document) readParams(p pair) {
	if p.value == nil || !d.mapping(p.value, "params") {
		return
	}
	for _, e := range d.entries(p.value) {
		name, ok := d.name(e.key, "parameter")
		if !ok {
			continue
		}
		if first, taken := d.params[name]; taken {
			d.report.add(e.key.pos, CodeDuplicateParam, "", "the parameter %q stands twice, first %s", name, first.Pos.seenFrom(e.key.pos))
			continue
		}
		param := &param{Param: Param{Name: name, Pos: e.key.pos}}
		d.params[name] = param
		d.order = append(d.order, param)
		if !e.value.broken {
			d.readParam(param, e.value)
		}
	}
}

// finishParams fills Workflow.Params, in file order, when all files are read.
func (d *document) finishParams() {
	for _, p := range d.order {
		if p.value != nil {
			p.Value = p.value.scalar()
		}
		d.workflow.Params = append(d.workflow.Params, p.Param)
	}
	if !d.partial {
		d.checkGiven()
	}
}

func (d *document) readParam(p *param, n *node) {
	switch {
	case n.kind == mappingNode:
		d.readLongParam(p, n)
	case n.kind == sequenceNode:
		d.report.add(n.pos, CodeWrongType, "", "the parameter %q cannot be a list", p.Name)
	default:
		d.readShortParam(p, n)
	}
}

// readShortParam reads `name: value`: the value is the default and gives the type.
func (d *document) readShortParam(p *param, n *node) {
	v := d.value(n, scope{}, 0)
	switch v.Kind {
	case broken:
		return
	case Null:
		at := n.pos
		if n.bare {
			at = p.Pos
		}
		d.report.add(at, CodeWrongType, "write a value, or {type: …} for one without default", "the parameter %q has neither value nor type", p.Name)
		return
	case Int:
		p.Type = IntParam
	case Float:
		p.Type = FloatParam
	case Bool:
		p.Type = BoolParam
	default:
		p.Type = StringParam
	}
	p.Default = v.scalar()
	p.value = v
	d.takeGiven(p)
}

func (d *document) readLongParam(p *param, n *node) {
	f := d.fields(n, paramKeys, p.Pos, "the parameter "+p.Name)
	t, ok := f["type"]
	if !ok {
		return
	}
	typ, ok := d.plainText(t.value, "type")
	if !ok {
		return
	}
	if !slices.Contains(paramTypes, typ) {
		d.report.add(t.value.pos, CodeBadEnum, d.report.suggest(typ, paramTypes), "no parameter type %s", shorten(typ))
		return
	}
	p.Type = ParamType(typ)
	if h, ok := f["help"]; ok {
		p.Help, _ = d.plainText(h.value, "help")
	}
	d.paramPattern(p, f)
	d.paramBounds(p, f)
	d.paramEnum(p, f)
	d.paramDefault(p, f)
	d.takeGiven(p)
	if _, given := d.opts.Params[p.Name]; !given && f["default"].value == nil {
		d.report.add(p.Pos, CodeMissingParam, "give it with --param "+p.Name+"=VALUE", "the parameter %q has no default and is not given", p.Name)
	}
}

func (d *document) paramPattern(p *param, f map[string]pair) {
	e, ok := f["pattern"]
	if !ok || e.value.broken {
		return
	}
	p.unsure = true
	if p.Type != StringParam {
		d.report.add(e.key.pos, CodeConflict, "", "a pattern is for the type string, not %s", p.Type)
		return
	}
	n := e.value
	if n.kind != scalarNode || !n.quoted && resolvePlain(n.text).kind != Text {
		d.report.add(n.pos, CodeWrongType, "quote it to make it a text", "pattern wants a text (string), not %s", n.what())
		return
	}
	re, err := d.compilePattern(n.text)
	if errors.Is(err, errPatternSize) {
		d.report.add(n.pos, CodeTooLarge, "", "pattern: %v", err)
		return
	}
	if err != nil {
		d.report.add(n.pos, CodeExpressionSyntax, "RE2 knows no look-around and no back-references", "pattern: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return
	}
	p.pattern, p.unsure = re, false
}

func (d *document) paramBounds(p *param, f map[string]pair) {
	for _, b := range []struct {
		key   string
		bound **Value
	}{{"min", &p.min}, {"max", &p.max}} {
		e, ok := f[b.key]
		if !ok {
			continue
		}
		switch p.Type {
		case IntParam, FloatParam, DurationParam, SizeParam:
		default:
			d.report.add(e.key.pos, CodeConflict, "", "the type %s has no %s", p.Type, b.key)
			continue
		}
		v := d.value(e.value, scope{}, 0)
		if !d.convertParam(p, v, b.key) {
			p.unsure = true
			continue
		}
		*b.bound = v
	}
}

func (d *document) paramEnum(p *param, f map[string]pair) {
	e, ok := f["enum"]
	if !ok || e.value.broken {
		return
	}
	v := d.value(e.value, scope{}, 0)
	if v.Kind != List {
		p.unsure = true
		settings{d: d}.wrong(v, "enum", "a list", "")
		return
	}
	for _, item := range v.Items {
		if !d.convertParam(p, item, "enum") {
			p.unsure = true
			continue
		}
		p.enum = append(p.enum, item)
	}
}

func (d *document) paramDefault(p *param, f map[string]pair) {
	e, hasDefault := f["default"]
	if r, ok := f["required"]; ok && !r.value.broken {
		s := settings{d: d}
		if required, ok := s.boolean(s.value(r.value), "required"); ok {
			p.Required = required
			if required && hasDefault {
				d.report.add(r.key.pos, CodeConflict, "drop one of the two", "required says that there is no default, and there is a default")
			}
		}
	}
	if !hasDefault {
		return
	}
	v := d.value(e.value, scope{}, 0)
	if d.convertParam(p, v, "default") && !p.unsure && d.acceptParam(p, v, "default") {
		p.value = v
		p.Default = v.scalar()
	}
}

// convertParam makes v a value of p's type, or reports that it is none.
func (d *document) convertParam(p *param, v *Value, what string) bool {
	if v.Kind == broken {
		return false
	}
	s := settings{d: d}
	switch p.Type {
	case IntParam:
		if i, ok := v.integral(); ok {
			v.Kind, v.Int = Int, i
			return true
		}
		s.wrong(v, what+" of "+p.Name, "an int", "")
	case FloatParam:
		if v.Kind == Int {
			v.Kind, v.Float = Float, float64(v.Int)
		}
		if v.Kind == Float {
			return true
		}
		s.wrong(v, what+" of "+p.Name, "a number (float)", "")
	case BoolParam:
		if v.Kind == Bool {
			return true
		}
		s.wrong(v, what+" of "+p.Name, "a bool", boolHint)
	case DurationParam:
		_, ok := s.duration(v, what+" of "+p.Name)
		return ok
	case SizeParam:
		_, ok := s.size(v, what+" of "+p.Name)
		return ok
	default:
		if v.Kind == Text {
			return true
		}
		s.wrong(v, what+" of "+p.Name, "a text (string)", quoteHint(v))
	}
	return false
}

// acceptParam checks v, of p's type, against bounds, enum and pattern; the first that fails is
// the problem.
func (d *document) acceptParam(p *param, v *Value, what string) bool {
	switch {
	case p.min != nil && p.order(v, p.min) < 0:
		d.report.add(v.Pos, CodeOutOfRange, "", "%s of %s is %s, the least is %s", what, p.Name, v.shown(), p.min.shown())
	case p.max != nil && p.order(v, p.max) > 0:
		d.report.add(v.Pos, CodeOutOfRange, "", "%s of %s is %s, the most is %s", what, p.Name, v.shown(), p.max.shown())
	case p.enum != nil && !slices.ContainsFunc(p.enum, func(e *Value) bool { return p.order(v, e) == 0 }):
		known := make([]string, len(p.enum))
		for i, e := range p.enum {
			known[i] = e.asText()
		}
		d.report.add(v.Pos, CodeBadEnum, d.report.suggest(v.asText(), known), "%s of %s is %s, not one of %s", what, p.Name, shorten(v.asText()), strings.Join(known, ", "))
	case p.pattern != nil && p.pattern.takesLong(v.Text):
		d.report.add(v.Pos, CodeTooLarge, "", "%s of %s is too long a text for its pattern", what, p.Name)
	case p.pattern != nil && !p.pattern.MatchString(v.Text):
		d.report.add(v.Pos, CodeBadPattern, "", "%s of %s is %s, which does not match the pattern %s", what, p.Name, shorten(v.Text), p.pattern)
	default:
		return true
	}
	return false
}

// order compares two values of p's type.
func (p *param) order(a, b *Value) int {
	switch p.Type {
	case IntParam:
		return cmp.Compare(a.Int, b.Int)
	case FloatParam:
		return cmp.Compare(a.Float, b.Float)
	case BoolParam:
		return strings.Compare(a.asText(), b.asText())
	case DurationParam:
		x, _ := ParseDuration(a.Text)
		y, _ := ParseDuration(b.Text)
		return cmp.Compare(x, y)
	case SizeParam:
		x, _ := ParseSize(a.Text)
		y, _ := ParseSize(b.Text)
		return cmp.Compare(x, y)
	}
	return strings.Compare(a.Text, b.Text)
}

// takeGiven reads the value that was given from outside. Its problems have no place.
func (d *document) takeGiven(p *param) {
	text, ok := d.opts.Params[p.Name]
	if !ok {
		return
	}
	p.Given = true
	v := &Value{Kind: Text, Text: text, source: text}
	switch p.Type {
	case IntParam, FloatParam, BoolParam:
		got := resolvePlain(text)
		if got.code != "" {
			p.value = nil
			d.report.add(Pos{}, got.code, "", "the parameter %s is given as %s: a number out of range, or with a leading zero", p.Name, shorten(text))
			return
		}
		v.Kind, v.Bool, v.Int, v.Float = got.kind, got.b, got.i, got.f
		v.Text = text
	}
	what := "the given value"
	p.value = nil
	if d.convertParam(p, v, what) && !p.unsure && d.acceptParam(p, v, what) {
		p.value = v
	}
}

func (d *document) checkGiven() {
	known := make([]string, len(d.order))
	for i, p := range d.order {
		known[i] = p.Name
	}
	for _, name := range slices.Sorted(maps.Keys(d.opts.Params)) {
		if _, ok := d.params[name]; !ok {
			d.report.add(Pos{}, CodeUnknownParam, d.report.suggest(name, known), "the workflow has no parameter %q", name)
		}
	}
}
