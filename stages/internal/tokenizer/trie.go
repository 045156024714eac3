package tokenizer

import (
	"cmp"
	"fmt"
	"slices"
)

// trie finds the longest token that a text begins with. The node of a token has the token's id, any other node
// an id behind them. The first two bytes are looked up in a table, since the characters of one script share
// them; further edges are in a hash table, which for 200,000 tokens is smaller than a table of children a node.
type trie struct {
	tokens int32          // ids below are tokens
	two    [1 << 16]int32 // node after two bytes, -1 without
	edges  []edge
	shift  uint32
}

// edge leads from a node by a byte.
type edge struct {
	from uint32 // node<<8 | byte
	to   int32  // node + 1; 0 = free
}

// maxNodes keeps edge.from in 32 bits.
const maxNodes = 1 << 24

// longest returns the longest token at the start of text, which is not empty; bytes are the tokens of one byte.
func (t *trie) longest(bytes *[256]int32, text string) int32 {
	best := bytes[text[0]]
	if len(text) == 1 {
		return best
	}
	node := t.two[int(text[0])<<8|int(text[1])]
	for i := 2; node >= 0; i++ {
		if node < t.tokens {
			best = node
		}
		if i == len(text) {
			break
		}
		node = t.child(node, text[i])
	}
	return best
}

func (t *trie) slot(from uint32) uint32 { return from * 0x9e3779b1 >> t.shift }

func (t *trie) child(node int32, b byte) int32 {
	from := uint32(node)<<8 | uint32(b)
	mask := uint32(len(t.edges) - 1)
	for i := t.slot(from); ; i = (i + 1) & mask {
		switch e := &t.edges[i&mask]; {
		case e.from == from && e.to != 0:
			return e.to - 1
		case e.to == 0:
			return -1
		}
	}
}

func (t *trie) put(e edge) {
	mask := uint32(len(t.edges) - 1)
	i := t.slot(e.from)
	for t.edges[i].to != 0 {
		i = (i + 1) & mask
	}
	t.edges[i] = e
}

// newTrie makes the trie of those pieces (by id) that are in use, and returns for each the longest other one
// that it begins with, -1 for single bytes.
func newTrie(pieces []string, used []bool) (*trie, []int32, error) {
	var order []int32
	total := 0
	for id, p := range pieces {
		if used[id] {
			order = append(order, int32(id))
			total += max(0, len(p)-2)
		}
	}
	// Shorter tokens first: when a token is put in, those that it begins with have their nodes.
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(len(pieces[a])-len(pieces[b]), int(a)-int(b))
	})
	bits := 4
	for 1<<bits < total+total/2 {
		bits++
	}
	t := &trie{tokens: int32(len(pieces)), edges: make([]edge, 1<<bits), shift: uint32(32 - bits)}
	for i := range t.two {
		t.two[i] = -1
	}
	next := t.tokens // id of the next node that is no token
	prefix := make([]int32, len(pieces))
	single := [256]int32{}
	for _, id := range order {
		p := pieces[id]
		prefix[id] = -1
		if len(p) == 1 {
			single[p[0]] = id
			continue
		}
		prefix[id] = t.insert(p, id, single[p[0]], &next)
		if next > maxNodes {
			return nil, nil, fmt.Errorf("the tokens begin in more than %d ways", maxNodes)
		}
	}
	t.shrink(int(next-t.tokens) + len(order))
	return t, prefix, nil
}

// shrink makes the table fit its edges: before the tokens were in, nobody knew how much of their beginnings
// they share.
func (t *trie) shrink(edges int) {
	bits := 32 - int(t.shift)
	for bits > 4 && edges < 1<<(bits-1)*5/8 {
		bits--
	}
	old := t.edges
	if len(old) == 1<<bits {
		return
	}
	t.edges, t.shift = make([]edge, 1<<bits), uint32(32-bits)
	for _, e := range old {
		if e.to != 0 {
			t.put(e)
		}
	}
}

// insert puts in a token of at least two bytes and returns the longest one on its way, at first that of its
// first byte.
func (t *trie) insert(p string, id, first int32, next *int32) int32 {
	node, prefix := int32(-1), first
	for i := 1; i < len(p); i++ {
		var to int32
		if i == 1 {
			to = t.two[int(p[0])<<8|int(p[1])]
		} else {
			to = t.child(node, p[i])
		}
		if to < 0 {
			to = id
			if i < len(p)-1 {
				to = *next
				*next++
			}
			if i == 1 {
				t.two[int(p[0])<<8|int(p[1])] = to
			} else {
				t.put(edge{uint32(node)<<8 | uint32(p[i]), to + 1})
			}
		}
		node = to
		if node < t.tokens && node != id {
			prefix = node
		}
	}
	return prefix
}
