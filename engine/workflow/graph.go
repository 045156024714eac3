package workflow

import (
	"cmp"
	"slices"
	"strings"
)

// connect makes edges, and levels unless there is a cycle.
func (d *document) connect() {
	w := d.workflow
	g := newGraph(w.Stages, d.stages)
	w.Edges = g.edges
	d.checkPairs(g)
	cycles := g.cycles()
	for _, c := range cycles {
		d.reportCycle(g, c, "the stages depend on one another: ")
	}
	if len(cycles) > 0 {
		return
	}
	level := g.levels()
	for i, s := range w.Stages {
		for len(w.Levels) <= level[i] {
			w.Levels = append(w.Levels, nil)
		}
		w.Levels[level[i]] = append(w.Levels[level[i]], s.Name)
	}
	for _, n := range w.Nodes {
		s := d.stages[n.Stage]
		n.Level = level[s.index]
		for _, dep := range g.deps[s.index] {
			found := matching(w.Stages[dep], s, n.Matrix)
			if !d.spendNeeds(len(found), s) {
				return
			}
			for _, m := range found {
				n.Needs = append(n.Needs, m.id(w.Stages[dep].Name))
			}
		}
	}
}

func (d *document) reportCycle(g *graph, cycle []int, message string) {
	path := make([]string, len(cycle))
	for i, s := range cycle {
		path[i] = g.stages[s].Name
	}
	at := g.places[[2]int{cycle[0], cycle[1]}]
	d.report.addProblem(at, Problem{
		Code: CodeCycle, Path: path,
		Message: message + strings.Join(path, " → "),
	})
}

// graph holds stages by their index in file order.
type graph struct {
	stages []*Stage
	edges  []Edge
	deps   [][]int // deps[i]: stages that i depends on, ascending
	places map[[2]int]Pos
}

func newGraph(stages []*Stage, byName map[string]*Stage) *graph {
	g := &graph{stages: stages, deps: make([][]int, len(stages)), places: map[[2]int]Pos{}}
	for to, s := range stages {
		found := map[int]*Edge{}
		note := func(name, why string, at Pos) {
			from := byName[name].index
			e := found[from]
			if e == nil {
				e = &Edge{From: name, To: s.Name, pos: at}
				found[from] = e
				g.deps[to] = append(g.deps[to], from)
			}
			if !slices.Contains(e.Why, why) {
				e.Why = append(e.Why, why)
			}
			if cmp.Or(cmp.Compare(at.Line, e.pos.Line), cmp.Compare(at.Col, e.pos.Col)) < 0 {
				e.pos = at
			}
		}
		for _, r := range s.refs {
			note(r.Stage, WhyReference, r.Pos)
		}
		for _, n := range s.Needs {
			note(n.Name, WhyNeeds, n.Pos)
		}
		for _, n := range s.asks {
			note(n.Name, WhyWhen, n.Pos)
		}
		slices.Sort(g.deps[to])
		for _, from := range g.deps[to] {
			g.edges = append(g.edges, *found[from])
			g.places[[2]int{to, from}] = found[from].pos
		}
	}
	return g
}

// levels gives each stage its longest path from a root, by one pass of Kahn's algorithm. The
// graph has no cycle.
func (g *graph) levels() []int {
	level, open := make([]int, len(g.stages)), make([]int, len(g.stages))
	readers := make([][]int, len(g.stages))
	var queue []int
	for to, deps := range g.deps {
		for _, from := range deps {
			readers[from] = append(readers[from], to)
		}
		if open[to] = len(deps); open[to] == 0 {
			queue = append(queue, to)
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		for _, to := range readers[from] {
			level[to] = max(level[to], level[from]+1)
			if open[to]--; open[to] == 0 {
				queue = append(queue, to)
			}
		}
	}
	return level
}

// cycles gives for each set of stages that reach one another a shortest path from the set's
// first stage back to itself, each stage depending on the next; ties go by file order.
func (g *graph) cycles() [][]int {
	component := g.components()
	size := map[int]int{}
	for _, c := range component {
		size[c]++
	}
	var out [][]int
	done := map[int]bool{}
	for i, c := range component {
		if done[c] || size[c] == 1 && !slices.Contains(g.deps[i], i) {
			continue
		}
		done[c] = true
		out = append(out, g.shortestCycle(i, component))
	}
	return out
}

// shortestCycle searches breadth first, so that the first way back is a shortest one and, as
// dependencies are in file order, the first of those.
func (g *graph) shortestCycle(start int, component []int) []int {
	parent := map[int]int{start: start}
	for queue := []int{start}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, dep := range g.deps[at] {
			if dep == start {
				cycle := []int{start}
				for ; at != start; at = parent[at] {
					cycle = append(cycle, at)
				}
				cycle = append(cycle, start)
				slices.Reverse(cycle)
				return cycle
			}
			if _, seen := parent[dep]; !seen && component[dep] == component[start] {
				parent[dep] = at
				queue = append(queue, dep)
			}
		}
	}
	return nil
}

// components numbers the sets of stages that reach one another: Tarjan's algorithm, with a stack
// of its own since chains of stages are long.
func (g *graph) components() []int {
	n := len(g.stages)
	component, index, low := make([]int, n), make([]int, n), make([]int, n)
	for i := range component {
		component[i], index[i] = -1, -1
	}
	type frame struct{ stage, next int }
	var stack []int
	next, count := 0, 0
	for root := range n {
		if index[root] >= 0 {
			continue
		}
		frames := []frame{{root, 0}}
		for len(frames) > 0 {
			f := &frames[len(frames)-1]
			v := f.stage
			if f.next == 0 {
				index[v], low[v] = next, next
				next++
				stack = append(stack, v)
			}
			if f.next < len(g.deps[v]) {
				w := g.deps[v][f.next]
				f.next++
				if index[w] < 0 {
					frames = append(frames, frame{w, 0})
				} else if component[w] < 0 {
					low[v] = min(low[v], index[w])
				}
				continue
			}
			if low[v] == index[v] {
				for {
					w := stack[len(stack)-1]
					stack = stack[:len(stack)-1]
					component[w] = count
					if w == v {
						break
					}
				}
				count++
			}
			if frames = frames[:len(frames)-1]; len(frames) > 0 {
				up := frames[len(frames)-1].stage
				low[up] = min(low[up], low[v])
			}
		}
	}
	return component
}
