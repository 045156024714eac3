package ggufio

import (
	"encoding/binary"
	"fmt"
	"math"
)

// value reads one metadata value of the given type.
func (h *headerReader) value(t uint32) any {
	if t != typeArray {
		return h.scalar(t)
	}
	element := h.u32()
	if element == typeArray {
		h.fail("arrays of arrays are not supported")
	}
	n := h.count("elements of an array", minSize(element))
	switch element {
	case typeU8:
		return h.take(int64(n))
	case typeI8:
		return elements[int8](h, element, n)
	case typeU16:
		return elements[uint16](h, element, n)
	case typeI16:
		return elements[int16](h, element, n)
	case typeU32:
		return elements[uint32](h, element, n)
	case typeI32:
		return elements[int32](h, element, n)
	case typeF32:
		return elements[float32](h, element, n)
	case typeBool:
		return elements[bool](h, element, n)
	case typeString:
		return elements[string](h, element, n)
	case typeU64:
		return elements[uint64](h, element, n)
	case typeI64:
		return elements[int64](h, element, n)
	case typeF64:
		return elements[float64](h, element, n)
	}
	h.fail("an array has elements of the unknown type %d", element)
	return nil
}

func elements[T any](h *headerReader, t uint32, n int) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = h.scalar(t).(T)
	}
	return out
}

// minSize is the least number of bytes that an element takes in the file.
func minSize(t uint32) int64 {
	switch t {
	case typeU16, typeI16:
		return 2
	case typeU32, typeI32, typeF32:
		return 4
	case typeString, typeU64, typeI64, typeF64:
		return 8
	}
	return 1
}

func (h *headerReader) scalar(t uint32) any {
	switch t {
	case typeU8:
		return h.take(1)[0]
	case typeI8:
		return int8(h.take(1)[0])
	case typeU16:
		return binary.LittleEndian.Uint16(h.take(2))
	case typeI16:
		return int16(binary.LittleEndian.Uint16(h.take(2)))
	case typeU32:
		return h.u32()
	case typeI32:
		return int32(h.u32())
	case typeF32:
		return math.Float32frombits(h.u32())
	case typeBool:
		b := h.take(1)[0]
		if b > 1 {
			h.fail("a boolean is %d", b)
		}
		return b == 1
	case typeString:
		return h.string()
	case typeU64:
		return h.u64()
	case typeI64:
		return int64(h.u64())
	case typeF64:
		return math.Float64frombits(h.u64())
	}
	h.fail("a value has the unknown type %d", t)
	return nil
}

// Get returns a metadata value.
func (g *File) Get(key string) (any, bool) {
	v, ok := g.byKey[key]
	return v, ok
}

// Lookup returns the metadata value of a key as a T. A missing key or another type is an error
// that names both.
func Lookup[T any](g *File, key string) (T, error) {
	v, ok := g.byKey[key]
	if !ok {
		var zero T
		return zero, &FormatError{g.path, fmt.Sprintf("metadata %q is missing", key)}
	}
	t, ok := v.(T)
	if !ok {
		return t, &FormatError{g.path, fmt.Sprintf("metadata %q is a %T instead of a %T", key, v, t)}
	}
	return t, nil
}
