// Package quant turns rows of float32 into the block formats of GGUF and back. Bytes equal
// those of llama.cpp's quantisers, whose arithmetic is unfused float32 in the order of the
// elements; a product that must be rounded before it is added is written float32(a*b), because
// Go may fuse it on some machines.
//
// K-quants search for the scales of their sub-blocks. The searches work on eight sub-blocks side
// by side, one a lane (lanes.go), so that a lane does what llama.cpp does with one sub-block and
// in the same order: in Go everywhere, in AVX2 where there is one, with the same bits.
package quant

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Type is an element type of a GGUF tensor, with its number in the file.
type Type uint32

const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q4_1 Type = 3
	Q5_0 Type = 6
	Q5_1 Type = 7
	Q8_0 Type = 8
	Q3K  Type = 11
	Q4K  Type = 12
	Q5K  Type = 13
	Q6K  Type = 14
	BF16 Type = 30
)

// format describes the blocks of a type.
type format struct {
	name  string
	block int // elements a block
	bytes int // bytes a block
	// encode writes src, whole blocks. importance is nil, or has a weight for each element: how
	// much an error there counts.
	encode func(dst []byte, src, importance []float32)
	decode func(dst []float32, src []byte)
	halves []int // places of the float16 scales in a quantised block, which must be finite
}

var formats = map[Type]format{
	F32:  {"F32", 1, 4, plainly(encodeF32), decodeF32, nil},
	F16:  {"F16", 1, 2, plainly(encodeF16), decodeF16, nil},
	BF16: {"BF16", 1, 2, plainly(encodeBF16), decodeBF16, nil},
	Q4_0: {"Q4_0", 32, 18, encodeQ4_0, decodeQ4_0, []int{0}},
	Q4_1: {"Q4_1", 32, 20, encodeQ4_1, decodeQ4_1, []int{0, 2}},
	Q5_0: {"Q5_0", 32, 22, encodeQ5_0, decodeQ5_0, []int{0}},
	Q5_1: {"Q5_1", 32, 24, encodeQ5_1, decodeQ5_1, []int{0, 2}},
	Q8_0: {"Q8_0", 32, 34, plainly(encodeQ8), decodeQ8, []int{0}},
	Q3K:  {"Q3_K", superBlock, q3Bytes, encodeQ3K, decodeQ3K, []int{q3D}},
	Q4K:  {"Q4_K", superBlock, q4Bytes, encodeQ4K, decodeQ4K, []int{0, 2}},
	Q5K:  {"Q5_K", superBlock, q5Bytes, encodeQ5K, decodeQ5K, []int{0, 2}},
	Q6K:  {"Q6_K", superBlock, q6Bytes, encodeQ6K, decodeQ6K, []int{q6D}},
}

// plainly makes an encoder of one that takes no notice of importance.
func plainly(encode func(dst []byte, src []float32)) func([]byte, []float32, []float32) {
	return func(dst []byte, src, _ []float32) { encode(dst, src) }
}

// Types lists what tensors can have, the most exact first.
var Types = []Type{F32, F16, BF16, Q8_0, Q6K, Q5K, Q5_1, Q5_0, Q4K, Q4_1, Q4_0, Q3K}

// Parse finds a type by its name.
func Parse(name string) (Type, error) {
	for _, t := range Types {
		if formats[t].name == name {
			return t, nil
		}
	}
	return 0, fmt.Errorf("type %q cannot be written (these can: %v)", name, Types)
}

// Known reports whether rows of the type can be read.
func (t Type) Known() bool { _, ok := formats[t]; return ok }

func (t Type) String() string {
	if f, ok := formats[t]; ok {
		return f.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Block is the number of elements that are encoded together.
func (t Type) Block() int { return formats[t].block }

// Bytes is the size of n elements; n is a multiple of Block.
func (t Type) Bytes(n int) int { f := formats[t]; return n / f.block * f.bytes }

// Encode writes src, whose length is a multiple of Block, into dst.
func (t Type) Encode(dst []byte, src []float32) { formats[t].encode(dst, src, nil) }

// EncodeRows writes rows whose columns have the given importance, all of them positive; nil is
// Encode. A row has len(importance) elements.
func (t Type) EncodeRows(dst []byte, src, importance []float32) {
	columns, encode := len(importance), formats[t].encode
	if columns == 0 {
		encode(dst, src, nil)
		return
	}
	size := t.Bytes(columns)
	for r := range len(src) / columns {
		encode(dst[r*size:][:size], src[r*columns:][:columns], importance)
	}
}

// Decode reads len(dst) elements.
func (t Type) Decode(dst []float32, src []byte) { formats[t].decode(dst, src) }

// CheckFinite refuses numbers, and what Encode made of them, that are infinite or no numbers, or
// became so because float16 cannot hold them or their scale: llama.cpp does not load such a file.
func (t Type) CheckFinite(src []float32, encoded []byte) error {
	f := formats[t]
	switch t {
	case F32:
		return t.checkExponents(encoded, 4, 0x7f800000_7f800000)
	case F16:
		return t.checkExponents(encoded, 2, 0x7c007c00_7c007c00)
	case BF16:
		return t.checkExponents(encoded, 2, 0x7f807f80_7f807f80)
	}
	for i, v := range src { // an infinite element may leave finite scales
		if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
			return notFinite(i, t)
		}
	}
	for at := 0; at < len(encoded); at += f.bytes {
		for _, h := range f.halves {
			if binary.LittleEndian.Uint16(encoded[at+h:])&0x7c00 == 0x7c00 {
				return notFinite(at/f.bytes*f.block, t)
			}
		}
	}
	return nil
}

// checkExponents wants every number of so many bytes to have a zero in its exponent, whose bits
// are those of mask. It looks at eight bytes at a time: adding the lowest bit of a full exponent
// carries into the sign.
func (t Type) checkExponents(b []byte, size int, mask uint64) error {
	lowest := mask & -mask
	for shift := 8 * size; shift < 64; shift *= 2 {
		lowest |= lowest << shift
	}
	signs := mask + lowest // mask's exponents are full, so every number carries
	for at := 0; at < len(b); at += 8 {
		var v uint64
		if at+8 <= len(b) {
			v = binary.LittleEndian.Uint64(b[at:])
		} else {
			var rest [8]byte
			copy(rest[:], b[at:])
			v = binary.LittleEndian.Uint64(rest[:])
		}
		if (v&mask+lowest)&signs != 0 {
			return notFinite(at/size, t)
		}
	}
	return nil
}

func notFinite(element int, t Type) error {
	return fmt.Errorf("element %d, or one after it in its block, is not a finite number or too large for %v", element, t)
}

func encodeF32(dst []byte, src []float32) {
	for i, v := range src {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
	}
}

func decodeF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}
