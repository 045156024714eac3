package tokenizer

import (
	"container/heap"
	"errors"
	"fmt"
)

// TrainConfig says what vocabulary to make.
type TrainConfig struct {
	// Size is the number of tokens, added ones included. A small text may give fewer.
	Size int
	// Added are the control tokens, in the order of their ids, which follow the rest.
	Added []string
	// Keep are texts whose pieces get their merges before all others, so that each becomes
	// as few tokens as the pattern allows: one a piece.
	Keep []string
	// MaxBytes bounds a token's length in bytes; 0 = no bound. Japanese has no spaces, so
	// without it a frequent phrase becomes one token.
	MaxBytes int
}

// keepWeight is above any count in a text.
const keepWeight = 1 << 40

// Train learns a byte-level BPE with o200k's pattern from text and returns it as a
// tokenizer.json, as Hugging Face's library reads and writes it. The most frequent pair
// becomes a token until the vocabulary is full or no pair occurs twice; of equals the one
// with the lower ids. Same text, same bytes.
func Train(text string, c TrainConfig) ([]byte, error) {
	if c.Size < 256+len(c.Added) {
		return nil, fmt.Errorf("training tokenizer: %d tokens are too few, the bytes and %d control tokens need %d", c.Size, len(c.Added), 256+len(c.Added))
	}
	if text == "" {
		return nil, errors.New("training tokenizer: no text")
	}
	t := newTrainer(c.MaxBytes)
	for _, k := range c.Keep {
		t.addText(k, keepWeight)
	}
	t.addText(text, 1)
	t.count()
	for len(t.tokens) < c.Size-len(c.Added) && t.mergeBest() {
	}
	return encodeFile(t.tokens, t.merges, c.Added)
}

// pair of neighbouring tokens.
type pair struct{ left, right int32 }

type trainer struct {
	tokens   []string // by id, as bytes
	merges   []pair
	maxBytes int

	words   []trainWord
	index   map[string]int
	counts  map[pair]int64
	where   map[pair][]int // words that hold the pair, or held it
	pending pairHeap
}

type trainWord struct {
	ids   []int32
	count int64
}

func newTrainer(maxBytes int) *trainer {
	t := &trainer{maxBytes: maxBytes, index: map[string]int{}, counts: map[pair]int64{}, where: map[pair][]int{}}
	// The alphabet in the order of its characters, as Hugging Face's trainer numbers it.
	for r := rune(0); len(t.tokens) < 256; r++ {
		if b, ok := runeByte[r]; ok {
			t.tokens = append(t.tokens, string([]byte{b}))
		}
	}
	return t
}

func (t *trainer) addText(text string, weight int64) {
	var ids [256]int32
	for id, b := range t.tokens {
		ids[b[0]] = int32(id)
	}
	for len(text) > 0 {
		n := splitO200k(text)
		piece := text[:n]
		text = text[n:]
		i, ok := t.index[piece]
		if !ok {
			i = len(t.words)
			t.index[piece] = i
			w := trainWord{ids: make([]int32, len(piece))}
			for j := range len(piece) {
				w.ids[j] = ids[piece[j]]
			}
			t.words = append(t.words, w)
		}
		t.words[i].count += weight
	}
}

func (t *trainer) count() {
	for i, w := range t.words {
		for j := 1; j < len(w.ids); j++ {
			t.change(pair{w.ids[j-1], w.ids[j]}, w.count, i)
		}
	}
	for p, n := range t.counts {
		t.pending = append(t.pending, counted{p, n})
	}
	heap.Init(&t.pending) // its order is total, so the map's order does not show
}

// change adds n to a pair's count; word is where it stands when n > 0.
func (t *trainer) change(p pair, n int64, word int) {
	t.counts[p] += n
	if n > 0 {
		if w := t.where[p]; len(w) == 0 || w[len(w)-1] != word {
			t.where[p] = append(w, word)
		}
	}
}

// mergeBest makes the most frequent pair a token; false when there is none left.
func (t *trainer) mergeBest() bool {
	for len(t.pending) > 0 {
		top := heap.Pop(&t.pending).(counted)
		n := t.counts[top.pair]
		if n != top.n { // out of date: counts only fall behind the heap's, or were pushed anew
			if n >= 2 && n < top.n {
				heap.Push(&t.pending, counted{top.pair, n})
			}
			continue
		}
		if n < 2 {
			return false
		}
		text := t.tokens[top.pair.left] + t.tokens[top.pair.right]
		if t.maxBytes > 0 && len(text) > t.maxBytes {
			continue
		}
		t.apply(top.pair, int32(len(t.tokens)))
		t.tokens = append(t.tokens, text)
		t.merges = append(t.merges, top.pair)
		return true
	}
	return false
}

// apply replaces the pair by id everywhere and updates the counts of its neighbours.
func (t *trainer) apply(p pair, id int32) {
	places := t.where[p]
	delete(t.where, p)
	delete(t.counts, p)
	touched := map[pair]bool{}
	for _, i := range places {
		w := &t.words[i]
		for k := 0; k+1 < len(w.ids); k++ {
			if w.ids[k] != p.left || w.ids[k+1] != p.right {
				continue
			}
			if k > 0 {
				t.change(pair{w.ids[k-1], p.left}, -w.count, i)
				t.change(pair{w.ids[k-1], id}, w.count, i)
				touched[pair{w.ids[k-1], id}] = true
			}
			if k+2 < len(w.ids) {
				t.change(pair{p.right, w.ids[k+2]}, -w.count, i)
				t.change(pair{id, w.ids[k+2]}, w.count, i)
				touched[pair{id, w.ids[k+2]}] = true
			}
			w.ids[k] = id
			w.ids = append(w.ids[:k+1], w.ids[k+2:]...)
		}
	}
	delete(t.counts, p) // a run of one token (aaa) counted it again
	for q := range touched {
		if n := t.counts[q]; n >= 2 {
			heap.Push(&t.pending, counted{q, n})
		}
	}
}

type counted struct {
	pair pair
	n    int64
}

// pairHeap gives the most frequent pair first, of equals the one with the lower ids.
type pairHeap []counted

func (h pairHeap) Len() int { return len(h) }
func (h pairHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	switch {
	case a.n != b.n:
		return a.n > b.n
	case a.pair.left != b.pair.left:
		return a.pair.left < b.pair.left
	}
	return a.pair.right < b.pair.right
}
func (h pairHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *pairHeap) Push(x any)   { *h = append(*h, x.(counted)) }
func (h *pairHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
