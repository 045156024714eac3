// Package quant turns rows of float32 into the block formats of GGUF and back. Bytes equal
// those of llama.cpp's quantisers, whose arithmetic is unfused float32; a product that must be
// rounded before it is added is written float32(a*b), because Go may fuse it on some machines.
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
	Q8_0 Type = 8
	BF16 Type = 30
)

// format describes the blocks of a type.
type format struct {
	name       string
	block      int // elements a block
	bytes      int // bytes a block
	encode     func(dst []byte, src []float32)
	decode     func(dst []float32, src []byte)
	fileType   uint32 // general.file_type of a file of this type
	isQuantity bool   // quantised: general.quantization_version applies
}

var formats = map[Type]format{
	F32:  {"F32", 1, 4, encodeF32, decodeF32, 0, false},
	F16:  {"F16", 1, 2, encodeF16, decodeF16, 1, false},
	BF16: {"BF16", 1, 2, encodeBF16, decodeBF16, 32, false},
	Q8_0: {"Q8_0", 32, 34, encodeQ8, decodeQ8, 7, true},
}

// Types lists what can be written, the most exact first.
var Types = []Type{F32, F16, BF16, Q8_0}

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

// FileType is the value of general.file_type for a file whose matrices have this type.
func (t Type) FileType() uint32 { return formats[t].fileType }

// Encode writes src, whose length is a multiple of Block, into dst.
func (t Type) Encode(dst []byte, src []float32) { formats[t].encode(dst, src) }

// Decode reads len(dst) elements.
func (t Type) Decode(dst []float32, src []byte) { formats[t].decode(dst, src) }

// ForColumns returns the type that a matrix with so many columns gets when t is asked for: what
// its blocks do not divide is kept as F16, as llama.cpp does.
func (t Type) ForColumns(columns int) Type {
	if columns%t.Block() != 0 {
		return F16
	}
	return t
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
