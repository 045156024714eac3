package quant

import (
	"encoding/binary"
	"math"
)

// Q8_0: 32 weights a block; f16 scale d, then 32 codes int8. x ≈ d·q.
const (
	q8Block = 32
	q8Bytes = 2 + q8Block
)

func encodeQ8(dst []byte, src []float32) {
	for b := range len(src) / q8Block {
		out := dst[b*q8Bytes:][:q8Bytes]
		d := q8Codes((*[q8Block]byte)(out[2:]), (*[q8Block]float32)(src[b*q8Block:]))
		binary.LittleEndian.PutUint16(out, half(d))
	}
}

// q8CodesInGo: d = amax/127, q = x/d rounded half away from zero, with the unrounded d.
func q8CodesInGo(dst *[q8Block]byte, src *[q8Block]float32) float32 {
	var amax float32
	for _, v := range src {
		amax = max(amax, abs(v))
	}
	d := amax / 127
	inverse := reciprocal(d)
	for i, v := range src {
		dst[i] = byte(truncated(awayFromZero(float32(v * inverse))))
	}
	return d
}

// awayFromZero rounds to the nearest whole number, ties away from zero.
func awayFromZero(v float32) float32 { return float32(math.Round(float64(v))) }

func decodeQ8(dst []float32, src []byte) {
	for b := range len(dst) / q8Block {
		in := src[b*q8Bytes:][:q8Bytes]
		d := widen(binary.LittleEndian.Uint16(in))
		for i := range q8Block {
			dst[b*q8Block+i] = float32(d * float32(int8(in[2+i])))
		}
	}
}
