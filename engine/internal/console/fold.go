package console

import (
	"fmt"
	"slices"
	"strings"
)

// foldFrom is how many instances of a stage are drawn as one row.
const foldFrom = 4

// fold draws the instances of a large matrix as one node, which needs all that they need.
func fold(g Graph) Graph {
	members := map[string][]GraphNode{}
	for _, n := range g.Nodes {
		members[n.Stage] = append(members[n.Stage], n)
	}
	name := map[string]string{} // of an instance in the folded graph
	for _, n := range g.Nodes {
		name[n.ID] = n.ID
		if list := members[n.Stage]; len(list) >= foldFrom {
			name[n.ID] = foldedName(list)
		}
	}
	out := Graph{Name: g.Name}
	for _, n := range g.Nodes {
		list := members[n.Stage]
		if len(list) >= foldFrom {
			if n.ID != list[0].ID {
				continue
			}
			n = foldedNode(list)
		}
		var needs []string
		for _, need := range n.Needs {
			if known, ok := name[need]; ok {
				need = known
			}
			if !slices.Contains(needs, need) {
				needs = append(needs, need)
			}
		}
		n.Needs = needs
		out.Nodes = append(out.Nodes, n)
	}
	return downwards(out)
}

// downwards puts every node below all that it needs, and changes the order in nothing else.
func downwards(g Graph) Graph {
	index := make(map[string]int, len(g.Nodes))
	for i, n := range g.Nodes {
		index[n.ID] = i
	}
	out := Graph{Name: g.Name}
	seen := make([]bool, len(g.Nodes))
	var visit func(i int)
	visit = func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		for _, need := range g.Nodes[i].Needs {
			if j, ok := index[need]; ok {
				visit(j)
			}
		}
		out.Nodes = append(out.Nodes, g.Nodes[i])
	}
	for i := range g.Nodes {
		visit(i)
	}
	return out
}

func foldedNode(list []GraphNode) GraphNode {
	n := GraphNode{ID: foldedName(list), Stage: list[0].Stage, Uses: list[0].Uses}
	counts := map[string]int{}
	for _, m := range list {
		n.Needs = append(n.Needs, m.Needs...)
		counts[m.Outcome]++
	}
	if n.Uses == n.Stage {
		n.Uses = n.ID // the name says it
	}
	if counts[""] > 0 {
		return n
	}
	// The outcome that most needs a look stands for all.
	for _, outcome := range []string{"failed", "blocked", "interrupted", "cancelled", "running", "pending", "skipped", "succeeded", "cached"} {
		if counts[outcome] > 0 {
			n.Outcome = outcome
			break
		}
	}
	n.Note = CountsText(counts)
	return n
}

// foldedName is "train ×20 [r=4…128]".
func foldedName(list []GraphNode) string {
	first, last := axesOf(list[0].ID), axesOf(list[len(list)-1].ID)
	var axes []string
	for i, axis := range first {
		name, from, _ := strings.Cut(axis, "=")
		to := ""
		if i < len(last) {
			_, to, _ = strings.Cut(last[i], "=")
		}
		if from != to {
			axis = name + "=" + from + "…" + to
		}
		axes = append(axes, axis)
	}
	text := fmt.Sprintf("%s ×%d", list[0].Stage, len(list))
	if len(axes) > 0 {
		text += " [" + strings.Join(axes, ", ") + "]"
	}
	return text
}

// axesOf are the "axis=value" of an instance's name.
func axesOf(id string) []string {
	_, inside, found := strings.Cut(id, "[")
	if !found {
		return nil
	}
	axes := strings.Split(strings.TrimSuffix(inside, "]"), ",")
	for i, axis := range axes {
		axes[i] = strings.TrimSpace(axis)
	}
	return axes
}
