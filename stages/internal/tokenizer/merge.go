package tokenizer

import "math"

// merges finds what two neighbouring tokens become. It is a hash table with open addressing. Most pairs that are
// asked for do not merge: a filter of one bit in 16 a merge tells so from a sixteenth of the table's memory.
type merges struct {
	shift  uint32
	slots  []mergeSlot
	filter []uint64
}

type mergeSlot struct {
	pair uint64 // left<<32 | right, plus 1; 0 = free
	rank int32
	id   int32
}

func newMerges(n int) *merges {
	bits := uint32(4)
	for 1<<bits < 2*n {
		bits++
	}
	return &merges{shift: 64 - bits, slots: make([]mergeSlot, 1<<bits), filter: make([]uint64, max(1, 1<<bits*8/64))}
}

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) + 1 }

// spread is a hash of a pair, whose highest bits are the best.
func spread(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 }

// add reports whether the pair is new.
func (m *merges) add(left, right, rank, id int32) bool {
	key := pairKey(left, right)
	hash := spread(key)
	bit := hash >> (m.shift - 3)
	m.filter[bit/64] |= 1 << (bit % 64)
	mask := uint64(len(m.slots) - 1)
	for i := hash >> m.shift; ; i = (i + 1) & mask {
		switch s := &m.slots[i]; s.pair {
		case 0:
			*s = mergeSlot{key, rank, id}
			return true
		case key:
			return false
		}
	}
}

// noMerge is the rank of a pair that does not merge: above every other.
const noMerge = math.MaxInt32

func (m *merges) find(left, right int32) (rank, id int32) {
	key := pairKey(left, right)
	hash := spread(key)
	if bit := hash >> (m.shift - 3); m.filter[bit/64]>>(bit%64)&1 == 0 {
		return noMerge, 0
	}
	mask := uint64(len(m.slots) - 1)
	for i := hash >> m.shift; ; i = (i + 1) & mask {
		switch s := &m.slots[i&mask]; s.pair {
		case key:
			return s.rank, s.id
		case 0:
			return noMerge, 0
		}
	}
}

// shortPiece is the number of symbols up to which searching for the best pair in a line
// is faster than keeping a heap.
const shortPiece = 96

// merger merges a text as byte-level BPE is defined, and holds the working memory for that. Encoding is made of
// its results (encoder).
type merger struct {
	ids  []int32
	rank []int32 // of (ids[i], ids[i+1])
	to   []int32 // what that pair becomes
	next []int32
	prev []int32
	heap []heapPair

	last form // the last merge that was made
}

// merge leaves the tokens of a text in ids: again and again the pair with the lowest rank, the leftmost of
// equals, becomes one.
func (w *merger) merge(m *merges, bytes *[256]int32, text []byte) {
	w.ids, w.last = w.ids[:0], form{rank: -1, even: true}
	for _, b := range text {
		w.ids = append(w.ids, bytes[b])
	}
	switch n := len(w.ids); {
	case n == 1:
	case n <= shortPiece:
		w.mergeShort(m)
	default:
		w.mergeLong(m)
	}
}

func (w *merger) note(left, right, rank int32) {
	w.last = form{left: left, right: right, rank: rank, even: w.last.even && rank >= w.last.rank}
}

func (w *merger) pairs(m *merges) {
	w.rank, w.to = w.rank[:0], w.to[:0]
	for i := 1; i < len(w.ids); i++ {
		r, id := m.find(w.ids[i-1], w.ids[i])
		w.rank, w.to = append(w.rank, r), append(w.to, id)
	}
}

func (w *merger) mergeShort(m *merges) {
	w.pairs(m)
	ids, rank, to := w.ids, w.rank, w.to
	for len(rank) > 0 {
		best, at := int32(noMerge), 0
		for i, r := range rank {
			if r < best {
				best, at = r, i
			}
		}
		if best == noMerge {
			break
		}
		w.note(ids[at], ids[at+1], best)
		ids[at] = to[at]
		ids = append(ids[:at+1], ids[at+2:]...)
		rank = append(rank[:at], rank[at+1:]...)
		to = append(to[:at], to[at+1:]...)
		if at > 0 {
			rank[at-1], to[at-1] = m.find(ids[at-1], ids[at])
		}
		if at < len(rank) {
			rank[at], to[at] = m.find(ids[at], ids[at+1])
		}
	}
	w.ids = ids
}

// heapPair is a candidate: the pair that starts at symbol at. It is stale when that pair
// has another rank by now.
type heapPair struct {
	rank int32
	at   int32
}

func (a heapPair) less(b heapPair) bool {
	return a.rank < b.rank || a.rank == b.rank && a.at < b.at
}

// mergeLong does the same in O(n log n), for lines without a break.
func (w *merger) mergeLong(m *merges) {
	w.pairs(m)
	n := int32(len(w.ids))
	w.rank, w.to = append(w.rank, noMerge), append(w.to, 0)
	w.next, w.prev, w.heap = w.next[:0], w.prev[:0], w.heap[:0]
	for i := range n {
		w.next, w.prev = append(w.next, i+1), append(w.prev, i-1)
		w.push(i)
	}
	for len(w.heap) > 0 {
		top := w.pop()
		i := top.at
		if w.rank[i] != top.rank {
			continue
		}
		right := w.next[i]
		w.note(w.ids[i], w.ids[right], top.rank)
		w.ids[i] = w.to[i]
		w.rank[right] = noMerge // gone
		w.next[i] = w.next[right]
		if after := w.next[i]; after < n {
			w.prev[after] = i
			w.rank[i], w.to[i] = m.find(w.ids[i], w.ids[after])
			w.push(i)
		} else {
			w.rank[i] = noMerge
		}
		if before := w.prev[i]; before >= 0 {
			w.rank[before], w.to[before] = m.find(w.ids[before], w.ids[i])
			w.push(before)
		}
	}
	k := 0
	for i := int32(0); i < n; i = w.next[i] {
		w.ids[k] = w.ids[i]
		k++
	}
	w.ids = w.ids[:k]
}

func (w *merger) push(at int32) {
	if w.rank[at] == noMerge {
		return
	}
	w.heap = append(w.heap, heapPair{w.rank[at], at})
	h := w.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].less(h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (w *merger) pop() heapPair {
	h := w.heap
	top, last := h[0], len(h)-1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		c := 2*i + 1
		if c >= last {
			break
		}
		if c+1 < last && h[c+1].less(h[c]) {
			c++
		}
		if !h[c].less(h[i]) {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	w.heap = h
	return top
}
