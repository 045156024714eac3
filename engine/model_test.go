package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// model decides, in place of the engine, what a command may run. It knows nothing of fingerprints,
// records or files: a piece of work is a stage's parameters and the content of what it reads, and
// is done once.
type model struct {
	stages []modelStage
	axis   []int // the values of the matrix axis that some stages have
	serial int   // names given so far
	done   map[string]bool
}

// modelStage is a stage of the workflow; of one with an axis there is an instance per value, which
// takes its value as its seed and reads its peers of the same value.
type modelStage struct {
	name  string
	axis  bool
	seed  int
	reads []string
}

// modelNode is one instance.
type modelNode struct {
	instance, stage string
	content, key    string
	needs           []int
}

func newModel(r *rand.Rand) *model {
	m := &model{axis: []int{2, 4}, done: map[string]bool{}}
	for range 3 + r.IntN(5) {
		m.add(r)
	}
	return m
}

// add puts a stage at the end that reads some of those before it. One without an axis that reads one
// with, which gives it a list, reads nothing else.
func (m *model) add(r *rand.Rand) {
	s := modelStage{name: fmt.Sprintf("s%d", m.serial), axis: r.IntN(4) == 0, seed: r.IntN(4)}
	m.serial++
	for _, before := range m.stages {
		if r.IntN(3) > 0 {
			continue
		}
		if before.axis && !s.axis {
			s.reads = []string{before.name}
			break
		}
		s.reads = append(s.reads, before.name)
	}
	m.stages = append(m.stages, s)
}

// edit changes the workflow: a value, the axis, a new stage, or one less that nobody reads.
func (m *model) edit(r *rand.Rand) {
	switch r.IntN(5) {
	case 0:
		m.axis = [][]int{{2, 4}, {4, 2}, {2, 4, 6}, {2, 3}, {3}}[r.IntN(5)]
	case 1:
		m.add(r)
	case 2:
		i := r.IntN(len(m.stages))
		read := slices.ContainsFunc(m.stages, func(s modelStage) bool { return slices.Contains(s.reads, m.stages[i].name) })
		if !read && len(m.stages) > 1 {
			m.stages = slices.Delete(m.stages, i, i+1)
		}
	default:
		m.stages[r.IntN(len(m.stages))].seed = r.IntN(4)
	}
}

func (m *model) yaml() string {
	var b strings.Builder
	b.WriteString("version: 1\nname: model\nstages:\n")
	for _, s := range m.stages {
		seed, matrix := fmt.Sprint(s.seed), ""
		if s.axis {
			seed, matrix = `"${matrix.k}"`, fmt.Sprintf(" matrix: { k: [%s] },", strings.Trim(strings.ReplaceAll(fmt.Sprint(m.axis), " ", ", "), "[]"))
		}
		var inputs []string
		for _, name := range s.reads {
			inputs = append(inputs, fmt.Sprintf(`"${stages.%s.outputs.out}"`, name))
		}
		list := "[" + strings.Join(inputs, ", ") + "]"
		if m.collects(s) {
			list = inputs[0]
		}
		fmt.Fprintf(&b, "  %s: { uses: fake,%s with: { tag: %s, seed: %s, inputs: %s } }\n", s.name, matrix, s.name, seed, list)
	}
	return b.String()
}

// collects: it reads the list of all instances of a stage.
func (m *model) collects(s modelStage) bool {
	return !s.axis && slices.ContainsFunc(m.stages, func(o modelStage) bool { return o.axis && slices.Contains(s.reads, o.name) })
}

// nodes are the instances, each after those that it reads, with what they must contain. Half a seed
// enters the content, so that a change may change nothing.
func (m *model) nodes() []modelNode {
	var nodes []modelNode
	for _, s := range m.stages {
		values := []int{s.seed}
		if s.axis {
			values = m.axis
		}
		for _, v := range values {
			n := modelNode{instance: m.instance(s.name, v), stage: s.name}
			suffix := strings.TrimPrefix(n.instance, s.name)
			read := ""
			for _, name := range s.reads {
				for i, o := range nodes {
					if o.stage == name && (!s.axis || o.instance == name || o.instance == name+suffix) {
						read += o.content
						n.needs = append(n.needs, i)
					}
				}
			}
			n.content = fmt.Sprintf("(%s %d%s)", s.name, v/2, read)
			n.key = fmt.Sprintf("%s %d %s", s.name, v, read)
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// instance is the name of the instance of a stage that has a seed.
func (m *model) instance(stage string, seed int) string {
	if slices.ContainsFunc(m.stages, func(s modelStage) bool { return s.name == stage && s.axis }) {
		return fmt.Sprintf("%s[k=%d]", stage, seed)
	}
	return stage
}

// fate is what must become of an instance.
type fate string

const (
	mustRun   fate = "run"
	mustReuse fate = "reuse"
	mustSkip  fate = "skip" // not selected, and nothing to reuse
)

// judge says what a command does that nothing disturbs; ok is false when it must be refused, since
// something selected needs what is neither selected nor there.
func (m *model) judge(nodes []modelNode, s Selection) (fates []fate, ok bool) {
	in := selectedNodes(nodes, s)
	fates = make([]fate, len(nodes))
	known := make([]bool, len(nodes)) // before the run: everything that it reads is there
	for i, n := range nodes {
		known[i] = true
		for _, j := range n.needs {
			if in[i] && fates[j] == mustSkip {
				return nil, false
			}
			known[i] = known[i] && known[j] && fates[j] == mustReuse
		}
		forced := in[i] && (s.ForceAll || slices.Contains(s.Force, n.stage))
		switch {
		case m.done[n.key] && !forced && (in[i] || known[i]):
			fates[i] = mustReuse
		case in[i]:
			fates[i] = mustRun
		default:
			fates[i] = mustSkip
		}
	}
	return fates, true
}

func selectedNodes(nodes []modelNode, s Selection) []bool {
	in := make([]bool, len(nodes))
	for i, n := range nodes {
		in[i] = in[i] || len(s.Only)+len(s.From)+len(s.Until) == 0 || slices.Contains(s.Only, n.stage) || slices.Contains(s.From, n.stage)
		for _, j := range n.needs {
			in[i] = in[i] || len(s.From) > 0 && below(nodes, j, s.From)
		}
	}
	for i := len(nodes) - 1; i >= 0; i-- {
		if slices.Contains(s.Until, nodes[i].stage) {
			mark(nodes, i, in)
		}
	}
	return in
}

// below reports whether a node is one of the stages or reads what is.
func below(nodes []modelNode, i int, stages []string) bool {
	return slices.Contains(stages, nodes[i].stage) || slices.ContainsFunc(nodes[i].needs, func(j int) bool { return below(nodes, j, stages) })
}

func mark(nodes []modelNode, i int, in []bool) {
	in[i] = true
	for _, j := range nodes[i].needs {
		mark(nodes, j, in)
	}
}
