// Package tokenizer turns text into token ids and back, exactly as Hugging Face's library
// does for a byte-level BPE (GPT-2, o200k, Phi-4), and trains such vocabularies.
//
// Text and control tokens are kept apart: Encode never gives the id of an added token,
// whatever the text says, so that a user's text cannot end a turn. EncodeSpecial is for
// templates.
package tokenizer

import (
	"fmt"
	"slices"
	"sync"
)

// AddedToken is a token matched as a whole before BPE, as tokenizer.json describes it.
type AddedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	// LStrip and RStrip swallow the white space before and after it.
	LStrip     bool `json:"lstrip"`
	RStrip     bool `json:"rstrip"`
	Normalized bool `json:"normalized"`
	Special    bool `json:"special"`
}

// Tokenizer is immutable and may be used by several goroutines.
type Tokenizer struct {
	pieces     []string // by id: the bytes a token stands for; "" = no such token
	spelt      []string // by id: its text in tokenizer.json
	merges     *merges
	mergeTexts [][2]string
	bytes      [256]int32
	added      []AddedToken // by id
	addedByID  map[int32]int
	match      *addedMatcher
	split      splitter
	trie       *trie
	forms      []form           // by id
	unmade     map[string]int32 // tokens that no merging makes; with ignore_merges a piece can be one
	asIs       bool             // ignore_merges: a piece that is a token is that token
	encoders   sync.Pool
}

func build(vocab map[string]int32, mergeTexts [][2]string, added []AddedToken, split splitter, ignoreMerges bool) (*Tokenizer, error) {
	t := &Tokenizer{split: split, mergeTexts: mergeTexts, addedByID: map[int32]int{}, asIs: ignoreMerges}
	t.encoders.New = func() any { return new(encoder) }
	size, err := idRange(vocab, added)
	if err != nil {
		return nil, err
	}
	t.pieces, t.spelt = make([]string, size), make([]string, size)
	for text, id := range vocab {
		if t.spelt[id] != "" {
			return nil, fmt.Errorf("id %d is both %q and %q", id, t.spelt[id], text)
		}
		t.spelt[id], t.pieces[id] = text, unspell(text)
	}
	for b, r := range byteRune {
		id, ok := vocab[string(r)]
		if !ok {
			return nil, fmt.Errorf("the vocabulary has no token for byte %#02x", b)
		}
		t.bytes[b] = id
	}
	t.merges = newMerges(len(mergeTexts))
	for i, m := range mergeTexts {
		left, ok1 := vocab[m[0]]
		right, ok2 := vocab[m[1]]
		id, ok3 := vocab[m[0]+m[1]]
		if !ok1 || !ok2 || !ok3 {
			return nil, fmt.Errorf("merge %d of %q and %q: not in the vocabulary", i, m[0], m[1])
		}
		t.merges.add(left, right, int32(i), id)
	}
	if err := t.index(vocab); err != nil {
		return nil, err
	}
	t.addTokens(added)
	return t, nil
}

// maxID bounds ids, so that a hostile file cannot ask for a table of any size.
const maxID = 1 << 22

func idRange(vocab map[string]int32, added []AddedToken) (int, error) {
	if len(vocab) == 0 {
		return 0, fmt.Errorf("the vocabulary is empty")
	}
	top := int32(0)
	check := func(id int32, text string) error {
		if id < 0 || id >= maxID {
			return fmt.Errorf("token %q has id %d", text, id)
		}
		top = max(top, id)
		return nil
	}
	for text, id := range vocab {
		if err := check(id, text); err != nil {
			return 0, err
		}
		if text == "" {
			return 0, fmt.Errorf("id %d is an empty token", id)
		}
	}
	for _, a := range added {
		if err := check(a.ID, a.Content); err != nil {
			return 0, err
		}
	}
	return int(top) + 1, nil
}

func (t *Tokenizer) addTokens(added []AddedToken) {
	t.added = slices.Clone(added)
	slices.SortStableFunc(t.added, func(a, b AddedToken) int { return int(a.ID) - int(b.ID) })
	for i, a := range t.added {
		t.addedByID[a.ID] = i
		t.pieces[a.ID], t.spelt[a.ID] = unspell(a.Content), a.Content
	}
	t.match = newAddedMatcher(t.added)
}

// Encode returns the ids of text as ordinary text: no added token is recognised in it.
func (t *Tokenizer) Encode(text string) []int32 { return t.AppendEncode(nil, text) }

// AppendEncode appends the ids of Encode to dst.
func (t *Tokenizer) AppendEncode(dst []int32, text string) []int32 {
	e := t.encoders.Get().(*encoder)
	for len(text) > 0 {
		n := t.split(text)
		piece := text[:n]
		text = text[n:]
		if t.asIs {
			if id, ok := t.wholeToken(piece); ok {
				dst = append(dst, id)
				continue
			}
		}
		dst = e.piece(t, piece, dst)
	}
	t.encoders.Put(e)
	return dst
}

// Pieces returns the pieces that no merge crosses, in order. Joined they are text.
func (t *Tokenizer) Pieces(text string) []string {
	var out []string
	for len(text) > 0 {
		n := t.split(text)
		out = append(out, text[:n])
		text = text[n:]
	}
	return out
}

// EncodeSpecial returns the ids of text with every added token recognised: for the text of
// a rendered template, never for what a user wrote.
func (t *Tokenizer) EncodeSpecial(text string) []int32 { return t.encodeAdded(text, false) }

// EncodeSplitSpecial recognises only the added tokens that are not special, as Hugging
// Face's split_special_tokens does. It is not safe for a user's text; Encode is.
func (t *Tokenizer) EncodeSplitSpecial(text string) []int32 { return t.encodeAdded(text, true) }

func (t *Tokenizer) encodeAdded(text string, splitSpecial bool) []int32 {
	var ids []int32
	start := 0
	for _, m := range t.match.find(text, splitSpecial) {
		ids = t.AppendEncode(ids, text[start:m.start])
		ids = append(ids, m.id)
		start = m.end
	}
	return t.AppendEncode(ids, text[start:])
}

// Decode returns the text of ids. Bytes that are no UTF-8 (a character cut in two) become
// U+FFFD; ids that do not exist are left out.
func (t *Tokenizer) Decode(ids []int32) string { return lossy(t.DecodeBytes(ids)) }

// DecodeSkipSpecial is Decode without the special added tokens.
func (t *Tokenizer) DecodeSkipSpecial(ids []int32) string {
	var b []byte
	for _, id := range ids {
		if i, ok := t.addedByID[id]; ok && t.added[i].Special {
			continue
		}
		b = append(b, t.TokenBytes(id)...)
	}
	return lossy(b)
}

// DecodeBytes returns the bytes of ids as they are.
func (t *Tokenizer) DecodeBytes(ids []int32) []byte {
	var b []byte
	for _, id := range ids {
		b = append(b, t.TokenBytes(id)...)
	}
	return b
}

// TokenBytes returns the bytes one id stands for; "" when there is no such id.
func (t *Tokenizer) TokenBytes(id int32) string {
	if id < 0 || int(id) >= len(t.pieces) {
		return ""
	}
	return t.pieces[id]
}

// Added returns the added tokens, by id.
func (t *Tokenizer) Added() []AddedToken { return slices.Clone(t.added) }

// AddedID returns the id of the added token with that content.
func (t *Tokenizer) AddedID(content string) (int32, bool) {
	for _, a := range t.added {
		if a.Content == content {
			return a.ID, true
		}
	}
	return 0, false
}

// Size is one more than the highest id. The model's vocabulary may be larger (padding).
func (t *Tokenizer) Size() int { return len(t.pieces) }

// Texts returns the tokens as tokenizer.json spells them, by id; "" where an id is not used.
func (t *Tokenizer) Texts() []string { return slices.Clone(t.spelt) }

// Merges returns the merges in order of rank, spelt as in tokenizer.json.
func (t *Tokenizer) Merges() [][2]string { return slices.Clone(t.mergeTexts) }
