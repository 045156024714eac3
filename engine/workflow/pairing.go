package workflow

// Pairing: on each axis that a reader and a stage with a matrix share, an instance of the reader
// sees the instances of the stage with the equal value; over the stage's other axes it collects.

// pairOutput is the value of a reference to an output of s in the scope of a reader's instance:
// one output, or the list of those that are collected.
func pairOutput(ref OutputRef, s *Stage, sc scope, at Pos) *Value {
	reader := sc.stage
	if s.matrix.unknown || reader.matrix.unknown || mismatch(s, reader) != nil {
		return &Value{Kind: broken, Pos: at}
	}
	collected, certain := collects(s, reader)
	if !collected {
		if !certain {
			return &Value{Kind: broken, Pos: at}
		}
		return outputOf(ref, partner(s, sc.instance), at)
	}
	list := &Value{Kind: List, Pos: at, collected: true}
	if certain {
		for _, m := range matching(s, reader, sc.instance) {
			list.Items = append(list.Items, outputOf(ref, m, at))
		}
	}
	return list
}

// collects tells whether the reader sees several instances of s at once, and whether that, and which
// they are, can be told.
func collects(s, reader *Stage) (collected, certain bool) {
	certain = !s.matrix.unknown && !reader.matrix.unknown && !s.matrix.tooLarge && !reader.matrix.tooLarge && mismatch(s, reader) == nil
	for i := range s.matrix.axes {
		a := &s.matrix.axes[i]
		other := reader.matrix.axis(a.name)
		certain = certain && !a.broken && (other == nil || !other.broken)
		collected = collected || other == nil
	}
	return collected, certain
}

func outputOf(ref OutputRef, instance Instance, at Pos) *Value {
	ref.Node = instance.id(ref.Stage)
	return &Value{Kind: Output, Pos: at, Output: ref}
}

// partner is the one instance of s that has the reader's values on all its axes.
func partner(s *Stage, reader Instance) Instance {
	out := make(Instance, 0, len(s.matrix.axes))
	for _, a := range s.matrix.axes {
		text, _ := reader.text(a.name)
		out = append(out, MatrixValue{Axis: a.name, text: text})
	}
	return out
}

// matching gives the instances of s that an instance of the reader sees, in s's order.
func matching(s, reader *Stage, instance Instance) []Instance {
	var shared []string
	for _, a := range s.matrix.axes {
		if reader.matrix.axis(a.name) != nil {
			shared = append(shared, a.name)
		}
	}
	if len(shared) == 0 {
		return s.matrix.instances
	}
	if len(shared) == len(s.matrix.axes) {
		return []Instance{partner(s, instance)}
	}
	want := make([]string, len(shared))
	for i, name := range shared {
		want[i], _ = instance.text(name)
	}
	var out []Instance
next:
	for _, candidate := range s.matrix.instances {
		for i, name := range shared {
			if text, _ := candidate.text(name); text != want[i] {
				continue next
			}
		}
		out = append(out, candidate)
	}
	return out
}

// mismatch is the first axis that s and the reader share with different values.
func mismatch(s, reader *Stage) *axis {
	for i := range s.matrix.axes {
		a := &s.matrix.axes[i]
		if other := reader.matrix.axis(a.name); other != nil && !sameValues(a, other) {
			return a
		}
	}
	return nil
}

// checkPairs reports axes that differ, once for each pair of stages.
func (d *document) checkPairs(g *graph) {
	for to, deps := range g.deps {
		for _, from := range deps {
			s, reader := g.stages[from], g.stages[to]
			if a := mismatch(s, reader); a != nil {
				d.report.add(g.places[[2]int{to, from}], CodeAxisMismatch, "give it the same values in the same order",
					"the axis %s has other values in %s than in %s", a.name, reader.Name, s.Name)
			}
		}
	}
}
