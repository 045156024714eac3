package workflow

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// inPieces parses text in pieces of about size bytes.
func inPieces(text string, size int) (root *node, pieces int, problems []Problem) {
	r := newReport()
	src := scan("w.yaml", []byte(text), r)
	if src == nil {
		return nil, 0, r.problems
	}
	defer func() { _ = recover() }() // of the parser; parseYAML makes it a problem
	c := &converter{src: src, report: r, anchors: map[string]*anchor{}}
	cut := src.cuts.pieces(src.clean, size)
	root, ok := c.parse(cut)
	if !ok {
		root = nil
	}
	return root, len(cut), r.problems
}

// checkPieces: a file means the same in one piece and in as many as there can be.
func checkPieces(t *testing.T, text string) int {
	t.Helper()
	whole, _, _ := inPieces(text, maxBytes)
	parts, n, problems := inPieces(text, 1)
	if (whole == nil) != (parts == nil) {
		t.Fatalf("in one piece %v, in %d: %v %v\n%s", whole != nil, n, parts != nil, problems, text)
	}
	if whole == nil || n == 1 {
		return n
	}
	clearCounts(whole)
	clearCounts(parts)
	if !reflect.DeepEqual(whole, parts) {
		t.Fatalf("in %d pieces it is another tree:\n%s", n, text)
	}
	return n
}

// clearCounts: pieces count the mapping that they have parts of once each. Where nothing is written, the
// parser names another column at the end of its text than before more of it.
func clearCounts(root *node) {
	root.count = 0
	for _, p := range root.pairs {
		p.value.count = 0
	}
	clearNothing(root, map[*node]bool{})
}

func clearNothing(n *node, done map[*node]bool) {
	if done[n] {
		return
	}
	done[n] = true
	if n.bare {
		n.pos, n.own = Pos{}, Pos{}
	}
	for _, i := range n.items {
		clearNothing(i, done)
	}
	for _, p := range n.pairs {
		clearNothing(p.key, done)
		clearNothing(p.value, done)
	}
}

func TestPieces(t *testing.T) {
	files, err := filepath.Glob(fixtures + "/*/*/workflow.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	texts := map[string]string{"chain": chain(300)}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	most := 0
	for name, text := range texts {
		t.Run(name, func(t *testing.T) { most = max(most, checkPieces(t, text)) })
	}
	if most < 250 {
		t.Errorf("the most pieces are %d", most)
	}
}

// What reaches over several entries is not cut.
func TestPiecesOfOddFiles(t *testing.T) {
	for _, text := range []string{
		"a:\n- b: 1\n  c: 2\n- d: 3\ne: 4\n",
		"a:\n  - b: 1\n    c: 2\n  - d: 3\ne: 4\n",
		"a:\n    b: 1\n  c: 2\nd: 3\n",
		"a: &x\n  b: 1\n  c: 2\nd: *x\n",
		"a:\n  b: &x 1\n  c: *x\nd: *x\n",
		"a: &x {b: 1}\nc:\n  <<: *x\n  d: 1\n  e: 2\n",
		"a:\n  b: 1\n  ? c\n  : 2\n",
		"a: !!map\n  b: 1\n  c: 2\n",
		"a: |\n  b: 1\n  c: 2\nd:\n  e: >\n    f\n  g: 'h\n\n  i: j'\n  k: l\n   m\n",
		"--- {a: 1}\nb: 2\nc: 3\n",
		"--- # x\nb: 2\nc: 3\n...\n",
		"  a: 1\n  b: 2\n",
		"a:\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n",
		"a:\n  b\n  c: 1\n  d: 2\n",
		"a: 1\nb\nc: 2\n",
		"a:\n  b: 1\n# x\n  c: 2\n\n  # y\n  d: 3\n",
		"\"a\":\n  b: 1\n  c: 2\n",
		"a:\n  b: {c: 1,\n  d: 2}\n  e: [1,\n  2]\n  f: 1\n",
		"a:\n  b: 1\n  c: [\n",
	} {
		checkPieces(t, text)
	}
}

// A problem in a late piece is where it stands in the file.
func TestPlaceOfProblemInPiece(t *testing.T) {
	for text, code := range map[string]string{
		"  last: {uses: x, whit: 1}\n": CodeUnknownKey,
		"  last: [a: b: c]\n":          CodeYAMLSyntax,
		"  last: *a\n":                 CodeUnknownAnchor,
	} {
		file := chain(1000) + text
		_, err := Parse("w.yaml", []byte(file), Options{})
		problems, _ := err.(Problems)
		if len(problems) == 0 || problems[0].Code != code || problems[0].Line != strings.Count(file, "\n") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzPieces(f *testing.F) {
	files, err := filepath.Glob(fixtures + "/*/*/workflow.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) { checkPieces(t, text) })
}
