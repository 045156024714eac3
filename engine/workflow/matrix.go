package workflow

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// maxInstances is the most instances that a stage may have, maxAllInstances those of a workflow.
const (
	maxInstances    = 256
	maxAllInstances = 20_000
)

// axis is a named list of values.
type axis struct {
	name   string
	pos    Pos
	values []MatrixValue
	// broken: the list has a problem; nothing more is said about its values.
	broken bool
	from   string // the stage it was copied from
}

// matrix is what a stage fans out over. A stage without one has one instance without axes.
type matrix struct {
	pos  Pos // of the key
	axes []axis
	from []Name
	// unknown: the axes cannot be told; nothing more is said about them.
	unknown bool
	// tooLarge: a problem already, so copies of it say nothing.
	tooLarge  bool
	resolved  bool
	instances []Instance
}

func (m *matrix) axis(name string) *axis {
	for i := range m.axes {
		if m.axes[i].name == name {
			return &m.axes[i]
		}
	}
	return nil
}

// id is the instance's name: stage[axis=value,axis=value], or the stage's name.
func (i Instance) id(stage string) string {
	if len(i) == 0 {
		return stage
	}
	var b strings.Builder
	b.WriteString(stage)
	sep := byte('[')
	for _, m := range i {
		b.WriteByte(sep)
		b.WriteString(m.Axis + "=" + m.text)
		sep = ','
	}
	b.WriteByte(']')
	return b.String()
}

func (i Instance) text(axis string) (string, bool) {
	for _, m := range i {
		if m.Axis == axis {
			return m.text, true
		}
	}
	return "", false
}

// readMatrices reads the axes of all stages, copies those that `from` names, and makes instances.
func (d *document) readMatrices() {
	for _, s := range d.workflow.Stages {
		if e, ok := s.body.fields["matrix"]; ok {
			d.readMatrix(s, e)
		}
	}
	d.checkFrom()
	for _, s := range d.workflow.Stages {
		d.resolveMatrix(s)
	}
	for _, s := range d.workflow.Stages {
		d.expand(s)
	}
}

func (d *document) readMatrix(s *Stage, e pair) {
	m := &s.matrix
	m.pos = e.key.pos
	if !d.mapping(e.value, "matrix") {
		m.unknown = true
		return
	}
	if len(e.value.pairs) == 0 {
		m.unknown = true
		d.report.add(e.value.pos, CodeMatrixEmpty, "", "matrix has no axis")
		return
	}
	for _, p := range d.entries(e.value) {
		switch p.key.text {
		case "from":
			d.readFrom(s, p.value)
		case "include", "exclude":
			d.report.add(p.key.pos, CodeReservedName, "", "%s is reserved in a matrix", p.key.text)
		default:
			if name, ok := d.name(p.key, "matrix axis"); ok {
				m.axes = append(m.axes, d.readAxis(name, p))
			}
		}
	}
}

func (d *document) readAxis(name string, p pair) axis {
	a := axis{name: name, pos: p.key.pos, broken: true}
	n := p.value
	if n.broken {
		return a
	}
	if n.kind != sequenceNode {
		d.report.add(n.pos, CodeWrongType, "", "the axis %s wants a list of values, not %s", name, n.what())
		return a
	}
	if len(n.items) == 0 {
		d.report.add(n.pos, CodeMatrixEmpty, "", "the axis %s has no value", name)
		return a
	}
	a.broken = false
	seen := map[string]bool{}
	for _, item := range n.items {
		v := d.value(item, scope{}, inParams)
		v.typed = "axis"
		text := v.asText()
		switch {
		case v.Kind == broken:
			a.broken = true
		case v.Kind == List || v.Kind == Map:
			a.broken = true
			d.report.add(v.Pos, CodeWrongType, "", "a value of the axis %s is %s, not a scalar", name, v.what())
		case seen[text]:
			a.broken = true
			d.report.add(v.Pos, CodeDuplicateValue, "", "the axis %s has two values that look like %s", name, text)
		default:
			seen[text] = true
			a.values = append(a.values, MatrixValue{name, v, text})
		}
	}
	return a
}

// readFrom reads the names of the stages whose axes are copied.
func (d *document) readFrom(s *Stage, n *node) {
	m := &s.matrix
	if n.isNull() {
		return
	}
	if n.broken || n.kind == sequenceNode && len(n.items) == 0 {
		m.unknown = true
		if !n.broken {
			d.report.add(n.pos, CodeMatrixEmpty, "", "matrix.from names no stage")
		}
		return
	}
	seen := map[string]bool{}
	for _, item := range n.list() {
		name, ok := d.plainText(item, "matrix.from")
		target := d.stages[norm.NFC.String(name)]
		switch {
		case !ok:
		case target == nil:
			d.unknownStage(name, item.pos)
		case seen[target.Name]:
			d.report.add(item.pos, CodeDuplicateValue, "", "matrix.from names %q twice", name)
		case !hasMatrix(target):
			d.report.add(item.pos, CodeNoMatrix, "", "the stage %q has no matrix", name)
		default:
			seen[target.Name] = true
			m.from = append(m.from, Name{target.Name, item.pos})
			continue
		}
		m.unknown = true
	}
}

func hasMatrix(s *Stage) bool {
	_, ok := s.body.fields["matrix"]
	return ok
}

// checkFrom reports rings of `from`.
func (d *document) checkFrom() {
	stages := d.workflow.Stages
	g := &graph{stages: stages, deps: make([][]int, len(stages)), places: map[[2]int]Pos{}}
	for i, s := range stages {
		for _, f := range s.matrix.from {
			from := d.stages[f.Name].index
			g.deps[i] = append(g.deps[i], from)
			g.places[[2]int{i, from}] = f.Pos
		}
		slices.Sort(g.deps[i])
	}
	component := g.components()
	for _, cycle := range g.cycles() {
		d.reportCycle(g, cycle, "the matrices are copied from one another: ")
		for i, s := range stages {
			if component[i] == component[cycle[0]] {
				s.matrix.unknown = true
			}
		}
	}
}

// resolveMatrix puts copied axes before the own ones.
func (d *document) resolveMatrix(s *Stage) {
	m := &s.matrix
	if m.resolved {
		return
	}
	m.resolved = true
	own := m.axes
	m.axes = nil
	for _, f := range m.from {
		source := d.stages[f.Name]
		if m.unknown {
			break // also: a ring, which has no end
		}
		d.resolveMatrix(source)
		m.tooLarge = m.tooLarge || source.matrix.tooLarge
		if source.matrix.unknown {
			m.unknown = true
			break
		}
		for _, a := range source.matrix.axes {
			d.copyAxis(s, a, f)
		}
	}
	if m.unknown {
		m.axes = nil
		return
	}
	for _, a := range own {
		if copied := m.axis(a.name); copied != nil {
			d.report.add(a.pos, CodeDuplicateAxis, "", "the axis %s is copied from %s already", a.name, copied.from)
			continue
		}
		m.axes = append(m.axes, a)
	}
	d.checkSize(m)
}

func (d *document) copyAxis(s *Stage, a axis, f Name) {
	m := &s.matrix
	before := m.axis(a.name)
	if before == nil {
		a.from = f.Name
		m.axes = append(m.axes, a)
		return
	}
	if !sameValues(before, &a) {
		d.report.add(f.Pos, CodeAxisMismatch, "", "the axis %s of %s has other values than that of %s", a.name, f.Name, before.from)
		m.unknown = true
	}
}

// sameValues compares two axes as their values look in names. Broken ones fit everything.
func sameValues(a, b *axis) bool {
	return a.broken || b.broken || slices.EqualFunc(a.values, b.values, func(x, y MatrixValue) bool { return x.text == y.text })
}

// size is how many instances there are, as far as the axes have no problem.
func (m *matrix) size() int {
	size := 1
	for _, a := range m.axes {
		if !a.broken {
			size = min(size*len(a.values), 1<<31)
		}
	}
	return size
}

func (d *document) checkSize(m *matrix) {
	size := m.size()
	if size <= maxInstances {
		return
	}
	if !m.tooLarge {
		d.report.add(m.pos, CodeMatrixTooLarge, "", "the matrix has %d instances, more than %d", size, maxInstances)
	}
	m.tooLarge = true
}

// expand makes the instances: the product of the axes, the last one fastest. An axis with a
// problem has one broken value, so that the rest is checked.
func (d *document) expand(s *Stage) {
	m := &s.matrix
	m.instances = []Instance{nil}
	if !m.tooLarge {
		if d.instances += m.size(); d.instances > maxAllInstances {
			if !d.tooMany {
				d.report.add(s.Pos, CodeTooLarge, "", "with this stage the workflow has over %d instances", maxAllInstances)
			}
			m.tooLarge, d.tooMany = true, true
		}
	}
	for _, a := range m.axes {
		values := a.values
		if a.broken || m.tooLarge {
			values = []MatrixValue{{Axis: a.name, Value: &Value{Kind: broken, Pos: a.pos}}}
		}
		next := make([]Instance, 0, len(m.instances)*len(values))
		for _, i := range m.instances {
			for _, v := range values {
				next = append(next, append(slices.Clone(i), v))
			}
		}
		m.instances = next
	}
}
