package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/so8t/so8t/stages/internal/quant"
)

// DType is an element type, spelt as in a file's header.
type DType string

// The element types that can be read as numbers. The other names of the format are
// recognised (a file that holds them opens) and are available as bytes.
const (
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	F64  DType = "F64"
	I64  DType = "I64"
	I32  DType = "I32"
	I8   DType = "I8"
	U8   DType = "U8"
)

// bits an element takes, of every type the format names.
var dtypeBits = map[DType]int{
	"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, U8: 8, I8: 8,
	"F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8,
	"I16": 16, "U16": 16, F16: 16, BF16: 16,
	I32: 32, "U32": 32, F32: 32, "C64": 64, F64: 64, I64: 64, "U64": 64,
}

// Bits returns the size of one element in bits, or 0 for a type the format does not know.
func (d DType) Bits() int { return dtypeBits[d] }

// decodeFloats converts the little-endian elements of raw to dst; len(raw) fits len(dst).
func decodeFloats(d DType, raw []byte, dst []float32) error {
	le := binary.LittleEndian
	switch d {
	case F32:
		if bytes, ok := littleEndianBytes(dst); ok {
			copy(bytes, raw)
			return nil
		}
		for i := range dst {
			dst[i] = math.Float32frombits(le.Uint32(raw[4*i:]))
		}
	case F64:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(le.Uint64(raw[8*i:])))
		}
	case F16:
		quant.F16.Decode(dst, raw)
	case BF16:
		quant.BF16.Decode(dst, raw)
	case I8:
		for i := range dst {
			dst[i] = float32(int8(raw[i]))
		}
	case U8:
		for i := range dst {
			dst[i] = float32(raw[i])
		}
	default:
		return fmt.Errorf("reading %s as numbers: not supported (F32, F64, F16, BF16, I8, U8 are)", d)
	}
	return nil
}

// littleEndianBytes are the bytes of numbers where they lie, on a machine that keeps them as files
// do.
func littleEndianBytes(x []float32) ([]byte, bool) {
	one := [2]byte{1, 0}
	if len(x) == 0 || binary.NativeEndian.Uint16(one[:]) != 1 {
		return nil, len(x) == 0
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x)), true
}

// AppendFloats appends src as little-endian elements of a floating type.
func AppendFloats(d DType, dst []byte, src []float32) ([]byte, error) {
	le := binary.LittleEndian
	switch d {
	case F32:
		if raw, ok := littleEndianBytes(src); ok {
			return append(dst, raw...), nil
		}
		for _, v := range src {
			dst = le.AppendUint32(dst, math.Float32bits(v))
		}
	case F16:
		for _, v := range src {
			dst = le.AppendUint16(dst, FloatToHalf(v))
		}
	case BF16:
		for _, v := range src {
			dst = le.AppendUint16(dst, FloatToBrain(v))
		}
	default:
		return nil, fmt.Errorf("writing numbers as %s: not supported (F32, F16, BF16 are)", d)
	}
	return dst, nil
}

// HalfToFloat widens an IEEE 754 half, exactly.
func HalfToFloat(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, frac := uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exp {
	case 0: // zero or subnormal: frac × 2⁻²⁴
		v := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// FloatToHalf rounds to the nearest half, ties to even; beyond 65504 it gives infinity.
func FloatToHalf(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000: // NaN stays a NaN
		return sign | 0x7e00
	case b >= 0x477ff000: // 65520 and above round to infinity
		return sign | 0x7c00
	case b < 0x38800000: // below 2⁻¹⁴: subnormal, counted in 2⁻²⁴
		n := math.RoundToEven(float64(math.Float32frombits(b)) * (1 << 24))
		return sign | uint16(n)
	}
	b += 0xfff + (b>>13)&1
	return sign | uint16((b-112<<23)>>13)
}

// FloatToBrain rounds to the nearest bfloat16, ties to even.
func FloatToBrain(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + (b>>16)&1) >> 16)
}

// BrainToFloat widens a bfloat16, exactly.
func BrainToFloat(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

func decodeInts(d DType, raw []byte, dst []int64) error {
	le := binary.LittleEndian
	switch d {
	case I64:
		for i := range dst {
			dst[i] = int64(le.Uint64(raw[8*i:]))
		}
	case I32:
		for i := range dst {
			dst[i] = int64(int32(le.Uint32(raw[4*i:])))
		}
	case I8:
		for i := range dst {
			dst[i] = int64(int8(raw[i]))
		}
	case U8, "BOOL":
		for i := range dst {
			dst[i] = int64(raw[i])
		}
	default:
		return fmt.Errorf("reading %s as integers: not supported (I64, I32, I8, U8 are)", d)
	}
	return nil
}
