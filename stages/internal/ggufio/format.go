// Package ggufio reads and writes GGUF version 3, the file format of llama.cpp and Ollama:
// metadata, a table of tensors, data. It knows the format and no model: which keys a phi3 file
// has and how its tensors are called is modelfile's.
//
// Reading is strict: sizes, offsets, types, names and alignment are checked against the file
// before any tensor is given out, and no more memory is taken than the file has bytes.
package ggufio

import (
	"fmt"

	"github.com/so8t/so8t/stages/internal/quant"
)

const (
	magic            = "GGUF"
	version          = 3
	defaultAlignment = 32
	alignmentKey     = "general.alignment"
	maxDims          = 4
	maxName          = 64 // GGML_MAX_NAME, with its final zero
)

// Value types as numbered in the file.
const (
	typeU8     = 0
	typeI8     = 1
	typeU16    = 2
	typeI16    = 3
	typeU32    = 4
	typeI32    = 5
	typeF32    = 6
	typeBool   = 7
	typeString = 8
	typeArray  = 9
	typeU64    = 10
	typeI64    = 11
	typeF64    = 12
)

// KV is one metadata entry. Value is one of uint8 int8 uint16 int16 uint32 int32 uint64 int64
// float32 float64 bool string, or a slice of one of these.
type KV struct {
	Key   string
	Value any
}

// TensorInfo describes one tensor. Dims are in the file's order: the first one is contiguous
// (the number of columns), the reverse of a row-major shape.
type TensorInfo struct {
	Name string
	Dims []int
	Type quant.Type
	// Offset of the first byte, from the start of the data section.
	Offset int64
}

// Len is the number of elements.
func (t TensorInfo) Len() int {
	n := 1
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// Size is the number of bytes.
func (t TensorInfo) Size() int64 { return int64(t.Type.Bytes(t.Len())) }

// FormatError says what is wrong with a file.
type FormatError struct {
	Path, Problem string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("reading GGUF %q: %s", e.Path, e.Problem)
}

func pad(n int64, alignment int64) int64 { return (n + alignment - 1) / alignment * alignment }
