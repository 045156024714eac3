package workflow

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// TestTrees compares nodes, their texts and their places with those that PyYAML 6.0.3 composes
// (testdata/trees.json): ["s", line, col, text], ["q", line, col, item…], ["m", line, col, [key, value]…].
func TestTrees(t *testing.T) {
	text, err := os.ReadFile("testdata/trees.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Text    string
		Tree    any
		Refused bool
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d documents", len(all))
	}
	for _, c := range all {
		r := newReport()
		var root *node
		if src := scan("f.yaml", []byte(c.Text), r); src != nil {
			root = parseYAML(src, r)
		}
		switch {
		case c.Refused && root != nil:
			t.Errorf("accepted: %q", c.Text)
		case !c.Refused && root == nil:
			t.Errorf("refused: %q: %v", c.Text, r.problems)
		case !c.Refused && !sameTree(plainTree(root), c.Tree):
			t.Errorf("%q:\ngot  %s\nwant %s", c.Text, dump(plainTree(root)), dump(c.Tree))
		}
	}
}

func plainTree(n *node) []any {
	at := []any{"s", float64(n.own.Line), float64(n.own.Col)}
	switch n.kind {
	case mappingNode:
		at[0] = "m"
		for _, p := range n.pairs {
			at = append(at, []any{plainTree(p.key), plainTree(p.value)})
		}
	case sequenceNode:
		at[0] = "q"
		for _, i := range n.items {
			at = append(at, plainTree(i))
		}
	default:
		at = append(at, n.text)
	}
	return at
}

// sameTree compares; the place of an empty value and of a collection differs between parsers.
func sameTree(got []any, want any) bool {
	w, ok := want.([]any)
	if !ok || len(got) != len(w) || got[0] != w[0] {
		return false
	}
	if got[0] == "s" {
		return got[3] == "" && w[3] == "" || reflect.DeepEqual(got, w)
	}
	for i := 3; i < len(w); i++ {
		entry, isEntry := w[i].([]any)
		g := got[i].([]any)
		if got[0] == "m" {
			if !isEntry || !sameTree(g[0].([]any), entry[0]) || !sameTree(g[1].([]any), entry[1]) {
				return false
			}
			continue
		}
		if !sameTree(g, w[i]) {
			return false
		}
	}
	return true
}
