package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// byteRune is GPT-2's alphabet: each byte as a printable character, so that a vocabulary of
// byte strings can be written as text. Printable Latin-1 stands for itself, the rest is
// shifted to U+0100 and up.
var byteRune, runeByte = alphabet()

func alphabet() (to [256]rune, from map[rune]byte) {
	from = make(map[rune]byte, 256)
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae) {
			r = next
			next++
		}
		to[b], from[r] = r, byte(b)
	}
	return to, from
}

// spell writes bytes in the alphabet.
func spell(b string) string {
	var sb strings.Builder
	for i := range len(b) {
		sb.WriteRune(byteRune[b[i]])
	}
	return sb.String()
}

// unspell reads a token's text. A text with a character outside the alphabet stands for
// itself, as in Hugging Face's decoder.
func unspell(text string) string {
	b := make([]byte, 0, len(text))
	for _, r := range text {
		c, ok := runeByte[r]
		if !ok {
			return text
		}
		b = append(b, c)
	}
	return string(b)
}

// lossy turns bytes into text: each longest beginning of a character that is cut off or
// broken becomes one U+FFFD (as in Rust and the Encoding Standard, unlike Go's one per byte).
func lossy(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var sb strings.Builder
	for len(b) > 0 {
		if r, n := utf8.DecodeRune(b); r != utf8.RuneError || n > 1 {
			sb.Write(b[:n])
			b = b[n:]
			continue
		}
		sb.WriteRune(utf8.RuneError)
		b = b[brokenLen(b):]
	}
	return sb.String()
}

// brokenLen is the length of the longest prefix of b that begins a well-formed character,
// at least 1. b does not start with a whole one.
func brokenLen(b []byte) int {
	lo, hi := byte(0x80), byte(0xbf)
	need := 0
	switch c := b[0]; {
	case c >= 0xc2 && c <= 0xdf:
		need = 1
	case c >= 0xe0 && c <= 0xef:
		need = 2
		if c == 0xe0 {
			lo = 0xa0
		} else if c == 0xed {
			hi = 0x9f
		}
	case c >= 0xf0 && c <= 0xf4:
		need = 3
		if c == 0xf0 {
			lo = 0x90
		} else if c == 0xf4 {
			hi = 0x8f
		}
	}
	n := 1
	for n <= need && n < len(b) && b[n] >= lo && b[n] <= hi {
		n++
		lo, hi = 0x80, 0xbf
	}
	return n
}
