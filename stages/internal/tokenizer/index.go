package tokenizer

import (
	"runtime"
	"sync"
)

// index prepares encoding: it merges every token's text by itself, on all processors, and puts those that come
// out whole into the trie.
func (t *Tokenizer) index(vocab map[string]int32) error {
	t.forms = make([]form, len(t.pieces))
	made := make([]bool, len(t.pieces))
	parts := min(runtime.GOMAXPROCS(0), 1+len(t.pieces)/4096)
	var workers sync.WaitGroup
	for part := range parts {
		from, to := len(t.pieces)*part/parts, len(t.pieces)*(part+1)/parts
		workers.Go(func() {
			var w merger
			for id := from; id < to; id++ {
				made[id] = t.form(&w, int32(id))
			}
		})
	}
	workers.Wait()
	t.unmade = map[string]int32{}
	for text, id := range vocab {
		if !made[id] && spell(t.pieces[id]) == text {
			t.unmade[t.pieces[id]] = id
		}
	}
	trie, prefixes, err := newTrie(t.pieces, made)
	if err != nil {
		return err
	}
	t.trie = trie
	for id, p := range prefixes {
		t.forms[id].prefix = p
	}
	return nil
}

// form merges a token's text and reports whether the token is what comes of it.
func (t *Tokenizer) form(w *merger, id int32) bool {
	piece := t.pieces[id]
	if piece == "" {
		return false
	}
	w.merge(t.merges, &t.bytes, []byte(piece))
	t.forms[id] = w.last
	t.forms[id].length = int32(len(piece))
	return len(w.ids) == 1 && w.ids[0] == id
}

// wholeToken finds the token that a piece is, made by merges or not.
func (t *Tokenizer) wholeToken(piece string) (int32, bool) {
	if id := t.trie.longest(&t.bytes, piece); int(t.forms[id].length) == len(piece) {
		return id, true
	}
	id, ok := t.unmade[piece]
	return id, ok
}
