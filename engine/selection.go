package engine

import (
	"fmt"
	"path"
	"strings"
)

// Selection narrows a plan. Each entry is a stage, an instance or a glob over both.
type Selection struct {
	Only  []string
	From  []string
	Until []string
	// Force runs these though they are done, without their checkpoints.
	Force    []string
	ForceAll bool
}

// texts writes the selectors as the run's record keeps them.
func (s Selection) texts() []string {
	var out []string
	for _, group := range []struct {
		flag  string
		names []string
	}{{"only", s.Only}, {"from", s.From}, {"until", s.Until}, {"force", s.Force}} {
		for _, name := range group.names {
			out = append(out, group.flag+"="+name)
		}
	}
	if s.ForceAll {
		out = append(out, "force-all")
	}
	return out
}

// parseSelection is the inverse of texts.
func parseSelection(texts []string) Selection {
	var s Selection
	for _, t := range texts {
		flag, name, _ := strings.Cut(t, "=")
		switch flag {
		case "only":
			s.Only = append(s.Only, name)
		case "from":
			s.From = append(s.From, name)
		case "until":
			s.Until = append(s.Until, name)
		case "force":
			s.Force = append(s.Force, name)
		case "force-all":
			s.ForceAll = true
		}
	}
	return s
}

// selection is a Selection applied to nodes; nil sets hold everything (in) or nothing (force).
type selection struct {
	given    Selection
	in       map[int]bool
	force    map[int]bool
	forceAll bool
	// done are forced ones that have run as they were told to.
	done map[int]bool
}

func (s selection) selected(n *node) bool { return s.in == nil || s.in[n.index] }
func (s selection) forced(n *node) bool {
	return (s.forceAll || s.force[n.index]) && !s.done[n.index]
}

func newSelection(nodes []*node, given Selection) (selection, error) {
	s := selection{given: given, forceAll: given.ForceAll}
	if len(given.Only)+len(given.From)+len(given.Until) > 0 {
		s.in = map[int]bool{}
	}
	groups := []struct {
		names []string
		add   func(*node)
	}{
		{given.Only, func(n *node) { s.in[n.index] = true }},
		{given.From, func(n *node) { spread(nodes, n, s.in, func(n *node) []int { return n.readers }) }},
		{given.Until, func(n *node) { spread(nodes, n, s.in, func(n *node) []int { return n.needs }) }},
		{given.Force, func(n *node) {
			if s.force == nil {
				s.force = map[int]bool{}
			}
			s.force[n.index] = true
		}},
	}
	if err := refuseFrozen(nodes, given.Force); err != nil {
		return s, err
	}
	for _, g := range groups {
		for _, name := range g.names {
			found := matching(nodes, name)
			if len(found) == 0 {
				return s, noStage(nodes, name)
			}
			for _, n := range found {
				g.add(n)
			}
		}
	}
	return s, nil
}

// matching are the nodes that a selector means.
func matching(nodes []*node, selector string) []*node {
	var out []*node
	for _, n := range nodes {
		if n.stage == selector || n.instance == selector {
			out = append(out, n)
		}
	}
	if out != nil || !strings.ContainsAny(selector, "*?") {
		return out
	}
	// An instance's brackets are its name, not a class of characters.
	glob := strings.NewReplacer("[", "\\[", "]", "\\]").Replace(selector)
	for _, n := range nodes {
		for _, name := range []string{n.stage, n.instance} {
			if ok, err := path.Match(glob, name); err == nil && ok {
				out = append(out, n)
				break
			}
		}
	}
	return out
}

// spread adds n and all that next leads to.
func spread(nodes []*node, n *node, set map[int]bool, next func(*node) []int) {
	todo := []*node{n}
	seen := map[int]bool{n.index: true}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		set[n.index] = true
		for _, i := range next(n) {
			if !seen[i] {
				seen[i] = true
				todo = append(todo, nodes[i])
			}
		}
	}
}

func noStage(nodes []*node, name string) error {
	var known []string
	for _, n := range nodes {
		if len(known) == 0 || known[len(known)-1] != n.stage {
			known = append(known, n.stage)
		}
	}
	message := fmt.Sprintf("no stage %q in the workflow; there are %s", name, clip(strings.Join(known, ", "), 200))
	return &SelectionError{Message: message}
}
