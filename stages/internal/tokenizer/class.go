package tokenizer

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// class is what the pre-tokenisers' patterns ask of a character. Every character has
// exactly one.
type class uint8

const (
	other  class = iota // none of the below: punctuation, symbols, control characters
	upper               // \p{Lu} \p{Lt}
	lower               // \p{Ll}
	letter              // \p{Lm} \p{Lo}: letters without case
	mark                // \p{M}
	number              // \p{N}
	space               // \s but line ends
	line                // \r \n
)

// classes maps every code point to its class; 1.1 MB, filled on first use.
var classes = sync.OnceValue(func() *[utf8.MaxRune + 1]class {
	t := new([utf8.MaxRune + 1]class)
	fill := func(r *unicode.RangeTable, c class) {
		for _, x := range r.R16 {
			for i := uint32(x.Lo); i <= uint32(x.Hi); i += uint32(x.Stride) {
				t[i] = c
			}
		}
		for _, x := range r.R32 {
			for i := x.Lo; i <= x.Hi; i += x.Stride {
				t[i] = c
			}
		}
	}
	fill(unicode.Lu, upper)
	fill(unicode.Lt, upper)
	fill(unicode.Ll, lower)
	fill(unicode.Lm, letter)
	fill(unicode.Lo, letter)
	fill(unicode.M, mark)
	fill(unicode.N, number)
	fill(unicode.White_Space, space)
	t['\n'], t['\r'] = line, line
	return t
})

// set is a set of classes as bits.
type set uint16

const (
	letters set = 1<<upper | 1<<lower | 1<<letter
	head    set = 1<<upper | 1<<letter | 1<<mark // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
	tail    set = 1<<lower | 1<<letter | 1<<mark // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
	spaces  set = 1<<space | 1<<line             // \s
	symbols set = 1<<other | 1<<mark             // [^\s\p{L}\p{N}]
)

func (s set) has(c class) bool { return s>>c&1 != 0 }
