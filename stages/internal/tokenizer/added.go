package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedMatcher finds added tokens in a text: leftmost first, then the longest.
type addedMatcher struct {
	byFirst [256][]AddedToken // by first byte, longest first
}

type addedMatch struct {
	start, end int // with the white space it swallows
	id         int32
}

func newAddedMatcher(added []AddedToken) *addedMatcher {
	m := &addedMatcher{}
	for _, a := range added {
		if a.Content != "" {
			m.byFirst[a.Content[0]] = append(m.byFirst[a.Content[0]], a)
		}
	}
	for i := range m.byFirst {
		slices.SortStableFunc(m.byFirst[i], func(a, b AddedToken) int { return len(b.Content) - len(a.Content) })
	}
	return m
}

func (m *addedMatcher) find(text string, splitSpecial bool) []addedMatch {
	var out []addedMatch
	taken := 0 // end of the last match, with its white space
	for i := 0; i < len(text); {
		a, ok := m.at(text, i)
		if !ok {
			i++
			continue
		}
		start, end := i, i+len(a.Content)
		i = end // also when the match is refused below: matches do not overlap
		if splitSpecial && a.Special || a.SingleWord && !aloneIn(text, start, end) {
			continue
		}
		if a.LStrip {
			start = max(taken, len(strings.TrimRightFunc(text[:start], unicode.IsSpace)))
		}
		if a.RStrip {
			end = len(text) - len(strings.TrimLeftFunc(text[end:], unicode.IsSpace))
		}
		out = append(out, addedMatch{start, end, a.ID})
		taken = end
	}
	return out
}

func (m *addedMatcher) at(text string, i int) (AddedToken, bool) {
	for _, a := range m.byFirst[text[i]] {
		if strings.HasPrefix(text[i:], a.Content) {
			return a, true
		}
	}
	return AddedToken{}, false
}

// aloneIn reports whether no letter, digit or underscore touches text[start:end].
func aloneIn(text string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:start])
	after, _ := utf8.DecodeRuneInString(text[end:])
	return (start == 0 || !isWord(before)) && (end == len(text) || !isWord(after))
}

func isWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r)
}
