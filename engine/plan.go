package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/dominikbraun/graph"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins"
)

// buildNodes turns a workflow's instances into nodes in the order in which they are planned:
// each after what it depends on, otherwise as the file has them.
//
// dominikbraun/graph holds the edges and refuses what is no graph: an instance twice, or an edge
// to one that is not there. The order is our own pass over its predecessor map: the library's
// TopologicalSort is quadratic.
func buildNodes(w *Workflow) ([]*node, error) {
	g := graph.New(graph.StringHash, graph.Directed())
	for _, n := range w.Nodes {
		if err := g.AddVertex(n.ID); err != nil {
			return nil, fmt.Errorf("planning stage %q: %w", n.ID, err)
		}
	}
	for _, n := range w.Nodes {
		for _, need := range n.Needs {
			if err := g.AddEdge(need, n.ID); err != nil && !errors.Is(err, graph.ErrEdgeAlreadyExists) {
				return nil, fmt.Errorf("planning stage %q: dependency on %q: %w", n.ID, need, err)
			}
		}
	}
	order, predecessors, err := fileOrder(w.Nodes, g)
	if err != nil {
		return nil, err
	}
	return connect(w, order, predecessors)
}

// fileOrder is Kahn's algorithm with the file's order among what is ready, linear but for a heap.
func fileOrder(nodes []*workflow.Node, g graph.Graph[string, string]) ([]int, []map[string]graph.Edge[string], error) {
	all, err := g.PredecessorMap()
	if err != nil {
		return nil, nil, fmt.Errorf("planning: %w", err)
	}
	index := make(map[string]int, len(nodes))
	for i, n := range nodes {
		index[n.ID] = i
	}
	waiting := make([]int, len(nodes))
	readers := make([][]int, len(nodes))
	predecessors := make([]map[string]graph.Edge[string], len(nodes))
	var ready readyHeap
	for i, n := range nodes {
		predecessors[i] = all[n.ID]
		waiting[i] = len(all[n.ID])
		for need := range all[n.ID] {
			readers[index[need]] = append(readers[index[need]], i)
		}
		if waiting[i] == 0 {
			ready.push(readyItem{index: i})
		}
	}
	order := make([]int, 0, len(nodes))
	for ready.len() > 0 {
		i := ready.pop().index
		order = append(order, i)
		for _, reader := range readers[i] {
			if waiting[reader]--; waiting[reader] == 0 {
				ready.push(readyItem{index: reader})
			}
		}
	}
	if len(order) < len(nodes) {
		return nil, nil, errors.New("planning: the workflow has a cycle") // found before, by the workflow package
	}
	return order, predecessors, nil
}

func connect(w *Workflow, order []int, predecessors []map[string]graph.Edge[string]) ([]*node, error) {
	place := make(map[string]int, len(order))
	for position, i := range order {
		place[w.Nodes[i].ID] = position
	}
	nodes := make([]*node, len(order))
	for position, i := range order {
		n, err := newNode(w, w.Nodes[i])
		if err != nil {
			return nil, err
		}
		n.index = position
		for need := range predecessors[i] {
			n.needs = append(n.needs, place[need])
		}
		slices.Sort(n.needs)
		nodes[position] = n
	}
	for _, n := range nodes {
		for _, need := range n.needs {
			nodes[need].readers = append(nodes[need].readers, n.index)
		}
	}
	return nodes, nil
}

func newNode(w *Workflow, from *workflow.Node) (*node, error) {
	p := w.plugins[from.Uses]
	if p == nil {
		return nil, fmt.Errorf("planning stage %q: plugin %q was not described", from.ID, from.Uses)
	}
	n := &node{
		stage: from.Stage, instance: from.ID, uses: from.Uses, plugin: p,
		when: condition(from.When), condition: from.Condition, gates: from.Gates, place: from.Matrix, continueOnError: from.ContinueOnError, timeout: from.Timeout,
		priority: from.Priority, retry: retryOf(from.Retry), resources: resourcesOf(from.Resources),
		secrets: slices.Clone(from.Secrets), atOnce: from.Concurrency, frozen: from.Frozen, publish: publicationsOf(from.Publish),
		file: from.Pos.File, line: from.Pos.Line, col: from.Pos.Col,
	}
	with, _ := plainValue(from.With).(map[string]any)
	n.with = p.schema.withDefaults(with)
	for _, m := range from.Matrix {
		if n.matrix == nil {
			n.matrix = map[string]any{}
		}
		n.matrix[m.Axis] = plainValue(m.Value)
	}
	for _, v := range from.Env {
		if n.env == nil {
			n.env = map[string]string{}
		}
		n.env[v.Name] = envText(v.Value)
		n.secrets = secretsIn(v.Value, n.secrets)
	}
	return n, nil
}

// plainValue turns a workflow's value into JSON values, with outputRef and concat where outputs go.
func plainValue(v *workflow.Value) any {
	if v == nil {
		return nil
	}
	switch v.Kind {
	case workflow.Output:
		return outputRef{v.Output.Node, v.Output.Output}
	case workflow.Concat:
		parts := make(concat, len(v.Parts))
		for i, p := range v.Parts {
			parts[i] = plainValue(p)
		}
		return parts
	case workflow.List:
		items := make([]any, len(v.Items))
		for i, item := range v.Items {
			items[i] = plainValue(item)
		}
		return items
	case workflow.Map:
		object := make(map[string]any, len(v.Fields))
		for _, f := range v.Fields {
			object[f.Key] = plainValue(f.Value)
		}
		return object
	case workflow.Bool:
		return v.Bool
	case workflow.Int:
		return json.Number(strconv.FormatInt(v.Int, 10))
	case workflow.Text:
		if utf8.ValidString(v.Text) {
			return v.Text
		}
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil // scalars always encode
	}
	return decodeJSON(text)
}

func retryOf(r workflow.Retry) retryPolicy {
	p := retryPolicy{Max: deref(r.Max), Backoff: deref(r.Backoff), Factor: deref(r.Factor), MaxBackoff: deref(r.MaxBackoff), Jitter: deref(r.Jitter)}
	for _, code := range r.On {
		p.On = append(p.On, plugins.Code(code))
	}
	return p
}

func resourcesOf(r workflow.Resources) resources {
	out := resources{CPU: deref(r.CPU), GPU: deref(r.GPU), Memory: deref(r.Memory), Disk: deref(r.Disk)}
	for _, slot := range r.Slots {
		if out.Slots == nil {
			out.Slots = map[string]int{}
		}
		out.Slots[slot.Name] = slot.Count
	}
	return out
}

func deref[T any](p *T) (zero T) {
	if p == nil {
		return zero
	}
	return *p
}

// instances lists the names of nodes.
func instances(nodes []*node, indices []int) []string {
	out := make([]string, 0, len(indices))
	for _, i := range indices {
		out = append(out, nodes[i].instance)
	}
	return out
}

// byInstance maps names to nodes.
func byInstance(nodes []*node) map[string]*node {
	m := make(map[string]*node, len(nodes))
	for _, n := range nodes {
		m[n.instance] = n
	}
	return m
}
