package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// The patterns that are known, as they stand in tokenizer.json. A pattern is a program in
// a foreign language, so each is written out by hand below and any other is refused.
const (
	patternO200k = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternGPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
)

// splitter cuts text into pieces; no merge crosses the end of one. It returns the length
// of the piece at the start of a text that is not empty, at least 1.
type splitter func(text string) int

func splitterFor(pattern string) (splitter, error) {
	switch pattern {
	case patternO200k:
		return splitO200k, nil
	case patternGPT2:
		return splitGPT2, nil
	}
	return nil, fmt.Errorf("pre-tokenizer pattern %q is not known (those of o200k and GPT-2 are)", pattern)
}

// at decodes the character at i. A byte that is not UTF-8 is a character of class other.
func at(t *[utf8.MaxRune + 1]class, s string, i int) (class, int) {
	if c := s[i]; c < utf8.RuneSelf {
		return t[c], 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return t[r], n
}

// run returns the end of the longest run of characters of a set that starts at i.
func run(t *[utf8.MaxRune + 1]class, s string, i int, of set) int {
	for i < len(s) {
		c, n := at(t, s, i)
		if !of.has(c) {
			break
		}
		i += n
	}
	return i
}

func splitO200k(s string) int {
	t := classes()
	first, n := at(t, s, 0)
	// Alternatives 1 and 2, each first with the optional leading character, then without.
	prefix := 0
	if !(letters | 1<<number | 1<<line).has(first) {
		prefix = n
	}
	if prefix > 0 {
		if end := word1(t, s, prefix); end > 0 {
			return contraction(s, end, true)
		}
	}
	if end := word1(t, s, 0); end > 0 {
		return contraction(s, end, true)
	}
	if prefix > 0 {
		if end := word2(t, s, prefix); end > 0 {
			return contraction(s, end, true)
		}
	}
	if end := word2(t, s, 0); end > 0 {
		return contraction(s, end, true)
	}
	if first == number {
		return digits(t, s, 3)
	}
	if end := punctuation(t, s); end > 0 {
		for end < len(s) && (s[end] == '\r' || s[end] == '\n' || s[end] == '/') {
			end++
		}
		return end
	}
	return whitespace(t, s, true)
}

// word1 matches [head]*[tail]+ at i and returns its end, or 0.
func word1(t *[utf8.MaxRune + 1]class, s string, i int) int {
	// lastTail is the end of the last character of the head run that [tail] takes too:
	// where [head]* has to give back to when no [tail] follows the run.
	lastTail := 0
	for i < len(s) {
		c, n := at(t, s, i)
		if !head.has(c) {
			if c == lower {
				return run(t, s, i, tail)
			}
			break
		}
		i += n
		if tail.has(c) {
			lastTail = i
		}
	}
	return lastTail
}

// word2 matches [head]+[tail]* at i and returns its end, or 0.
func word2(t *[utf8.MaxRune + 1]class, s string, i int) int {
	end := run(t, s, i, head)
	if end == i {
		return 0
	}
	return run(t, s, end, tail)
}

// contraction extends end over 's 't 're 've 'm 'll 'd. With fold in any case, which for s
// includes ſ (U+017F).
func contraction(s string, end int, fold bool) int {
	rest := s[end:]
	if len(rest) < 2 || rest[0] != '\'' {
		return end
	}
	a, b := rest[1], byte(0)
	if len(rest) > 2 {
		b = rest[2]
	}
	if fold {
		if a == 0xc5 && b == 0xbf { // ſ
			return end + 3
		}
		a, b = asciiLower(a), asciiLower(b)
	}
	switch {
	case a == 's' || a == 't' || a == 'm' || a == 'd':
		return end + 2
	case (a == 'r' || a == 'v') && b == 'e', a == 'l' && b == 'l':
		return end + 3
	}
	return end
}

func asciiLower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// digits matches \p{N}{1,limit}; the first character is a number.
func digits(t *[utf8.MaxRune + 1]class, s string, limit int) int {
	i := 0
	for range limit {
		if i == len(s) {
			break
		}
		c, n := at(t, s, i)
		if c != number {
			break
		}
		i += n
	}
	return i
}

// punctuation matches ` ?[^\s\p{L}\p{N}]+` and returns its end, or 0.
func punctuation(t *[utf8.MaxRune + 1]class, s string) int {
	start := 0
	if s[0] == ' ' {
		start = 1
	}
	if end := run(t, s, start, symbols); end > start {
		return end
	}
	return 0
}

// whitespace matches `\s*[\r\n]+|\s+(?!\S)|\s+`, without the first alternative when lines
// is false. The first character is white space.
func whitespace(t *[utf8.MaxRune + 1]class, s string, lines bool) int {
	i, lastLine, last := 0, 0, 0
	for i < len(s) {
		c, n := at(t, s, i)
		if !spaces.has(c) {
			break
		}
		last = i
		i += n
		if c == line {
			lastLine = i
		}
	}
	switch {
	case lines && lastLine > 0:
		return lastLine
	case i == len(s) || last == 0:
		return i
	}
	return last // the last one goes with what follows
}

func splitGPT2(s string) int {
	t := classes()
	if end := contraction(s, 0, false); end > 0 {
		return end
	}
	start := 0
	if s[0] == ' ' && len(s) > 1 {
		start = 1
	}
	switch c, _ := at(t, s, start); {
	case letters.has(c):
		return run(t, s, start, letters)
	case c == number:
		return run(t, s, start, 1<<number)
	case symbols.has(c):
		return run(t, s, start, symbols)
	}
	return whitespace(t, s, false)
}
