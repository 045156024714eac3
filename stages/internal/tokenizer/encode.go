package tokenizer

// Encoding a piece. Merging gives the one sequence of tokens in which every two neighbours are what merging
// their own text alone gives: merges inside of two neighbours happen in the same order as in the whole, because
// the lowest rank of the whole is the lowest of the part that it lies in; and were another sequence right, the
// first merge across one of its seams would be the first across the seam of those two neighbours as well.
// So the encoder takes the longest token that begins at each place, shorter ones where it does not agree with
// its left neighbour, and goes back where none does. The tokens up to a place are then what merging the text
// up to there gives, so that a place with no way on never has to be tried again: work is linear in the length
// of a piece, whatever it holds.

// form is how a token comes about when its text is merged by itself.
type form struct {
	left, right int32 // its last merge
	rank        int32 // of that merge; -1: a single byte
	prefix      int32 // the longest token that it begins with, -1 for a byte
	length      int32 // in bytes
	even        bool  // the merges of its text come in the order of their ranks
}

// encoder holds the working memory of one encoding.
type encoder struct {
	merger
	text []byte
	dead []uint64 // places of a piece, as bits, from which no token leads on
	work int      // tokens that were looked at, for tests
}

// piece appends the tokens of a piece.
func (e *encoder) piece(t *Tokenizer, text string, out []int32) []int32 {
	if len(text) == 1 {
		return append(out, t.bytes[text[0]])
	}
	base, at := len(out), 0
	anyDead := false
	next := t.trie.longest(&t.bytes, text)
	for {
		e.work++
		end := at + int(t.forms[next].length)
		if (!anyDead || e.dead[end/64]>>(end%64)&1 == 0) && (len(out) == base || e.agree(t, out[len(out)-1], next)) {
			out = append(out, next)
			at = end
			if at == len(text) {
				return out
			}
			next = t.trie.longest(&t.bytes, text[at:])
			continue
		}
		if next = t.forms[next].prefix; next >= 0 {
			continue
		}
		// Nothing leads on from here; a byte always does from the start of the piece.
		if !anyDead {
			anyDead = true
			e.clear(len(text))
		}
		e.dead[at/64] |= 1 << (at % 64)
		next = out[len(out)-1]
		out = out[:len(out)-1]
		at -= int(t.forms[next].length)
	}
}

func (e *encoder) clear(length int) {
	words := length/64 + 1
	if cap(e.dead) < words {
		e.dead = make([]uint64, words)
	}
	e.dead = e.dead[:words]
	clear(e.dead)
}

// agree reports whether merging the text of two tokens gives those two. It undoes their merges, the last one
// first: at each moment the tokens at the seam must not be a pair that merges before one of them is merged
// with its other neighbour.
func (e *encoder) agree(t *Tokenizer, left, right int32) bool {
	l, r := &t.forms[left], &t.forms[right]
	if !l.even || !r.even {
		return e.agreeByMerging(t, left, right)
	}
	// Ranks of the merges that end the present moment, of the left and of the right token.
	endLeft, endRight := int32(noMerge), int32(noMerge)
	for {
		// Of equal ranks the leftmost goes first: the left token's merge, then the seam's, then the right one's.
		if rank, _ := t.merges.find(left, right); rank < endLeft && rank <= endRight && rank != noMerge {
			return false
		}
		e.work++
		switch {
		case l.rank > r.rank:
			endLeft, left = l.rank, l.right
			l = &t.forms[left]
		case r.rank >= 0:
			endRight, right = r.rank, r.left
			r = &t.forms[right]
		default:
			return true
		}
	}
}

// agreeByMerging is for tokens whose merges come in another order than that of their ranks, as a vocabulary
// made of another's ranks may have.
func (e *encoder) agreeByMerging(t *Tokenizer, left, right int32) bool {
	e.text = append(append(e.text[:0], t.pieces[left]...), t.pieces[right]...)
	e.merge(t.merges, &t.bytes, e.text)
	return len(e.ids) == 2 && e.ids[0] == left && e.ids[1] == right
}
