package quant

import (
	"encoding/binary"
	"math"
)

// Q4_0, Q4_1, Q5_0, Q5_1: 32 weights a block with one scale d, and in the second of each pair a
// minimum m, both float16: x ≈ d·(code − 2ⁿ⁻¹), x ≈ d·code + m. K-quants fall back to Q4_0, Q5_0 and
// Q5_1 where 256 does not divide a row.
const shortBlock = 32

// shortCodes are a block's codes.
type shortCodes [shortBlock]uint8

func encodeQ4_0(dst []byte, src, importance []float32) {
	encodeSigned(dst, src, importance, 8, func(out []byte, d float32, codes *shortCodes) {
		binary.LittleEndian.PutUint16(out, half(d))
		codes.packNibbles(out[2:18])
	})
}

func encodeQ5_0(dst []byte, src, importance []float32) {
	encodeSigned(dst, src, importance, 16, func(out []byte, d float32, codes *shortCodes) {
		binary.LittleEndian.PutUint16(out, half(d))
		binary.LittleEndian.PutUint32(out[2:], codes.highBits())
		codes.packNibbles(out[6:22])
	})
}

func encodeQ4_1(dst []byte, src, importance []float32) {
	encodeShifted(dst, src, importance, 15, func(out []byte, d, m float32, codes *shortCodes) {
		binary.LittleEndian.PutUint16(out, half(d))
		binary.LittleEndian.PutUint16(out[2:], half(m))
		codes.packNibbles(out[4:20])
	})
}

func encodeQ5_1(dst []byte, src, importance []float32) {
	encodeShifted(dst, src, importance, 31, func(out []byte, d, m float32, codes *shortCodes) {
		binary.LittleEndian.PutUint16(out, half(d))
		binary.LittleEndian.PutUint16(out[2:], half(m))
		binary.LittleEndian.PutUint32(out[4:], codes.highBits())
		codes.packNibbles(out[8:24])
	})
}

// encodeSigned finds each block's scale with codes −top … top−1, and gives write the scale and
// the codes counted from 0.
func encodeSigned(dst []byte, src, importance []float32, top float32, write func(out []byte, d float32, codes *shortCodes)) {
	size := len(dst) / (len(src) / shortBlock)
	var codes shortCodes
	if importance == nil {
		for b := range len(src) / shortBlock {
			x := src[b*shortBlock:][:shortBlock]
			d := nearestSigned(x, top, &codes)
			write(dst[b*size:][:size], d, &codes)
		}
		return
	}
	s := evenSearch{n: shortBlock, top: top, numerators: evenNumerators(top)}
	variance := meanSquare(src)
	eachEight(src, importance, variance, &s.x, &s.weight, func(first, n int) {
		runEven(&s)
		for j := range n {
			for i := range codes {
				codes[i] = s.found(i, j)
			}
			write(dst[(first+j)*size:][:size], s.scale[j], &codes)
		}
	})
}

func nearestSigned(x []float32, top float32, codes *shortCodes) float32 {
	var largest, magnitude float32
	for _, v := range x {
		if a := abs(v); magnitude < a {
			largest, magnitude = v, a
		}
	}
	d := largest / -top
	inverse := reciprocal(d)
	for i, v := range x {
		codes[i] = uint8(min(int8(2*top-1), int8(truncated(float32(v*inverse)+(top+0.5)))))
	}
	return d
}

// encodeShifted finds each block's scale and minimum with codes 0 … top.
func encodeShifted(dst []byte, src, importance []float32, top float32, write func(out []byte, d, m float32, codes *shortCodes)) {
	size := len(dst) / (len(src) / shortBlock)
	var codes shortCodes
	if importance == nil {
		for b := range len(src) / shortBlock {
			x := src[b*shortBlock:][:shortBlock]
			d, m := nearestShifted(x, top, &codes)
			write(dst[b*size:][:size], d, m, &codes)
		}
		return
	}
	s := minSearch{top: top, numerators: numeratorsOf(top, -0.9, 0.05, 36)}
	variance := meanSquare(src)
	eachEight(src, importance, variance, &s.x, &s.weight, func(first, n int) {
		runMin(&s)
		for j := range n {
			for i := range codes {
				codes[i] = s.found(i, j)
			}
			write(dst[(first+j)*size:][:size], s.scale[j], -s.min[j], &codes)
		}
	})
}

func nearestShifted(x []float32, top float32, codes *shortCodes) (d, m float32) {
	low, high := float32(math.MaxFloat32), float32(-math.MaxFloat32)
	for _, v := range x {
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
	}
	d = (high - low) / top
	inverse := reciprocal(d)
	for i, v := range x {
		codes[i] = min(uint8(top), uint8(truncated(float32((v-low)*inverse)+0.5)))
	}
	return d, low
}

// eachEight puts up to eight blocks of a row at a time side by side, weighted by
// importance·√(variance + x²), and calls use with the first block and their number.
func eachEight(src, importance []float32, variance float32, x, weight *[shortBlock]column, use func(first, n int)) {
	blocks := len(src) / shortBlock
	for first := 0; first < blocks; first += lanes {
		n := min(lanes, blocks-first)
		for j := range lanes {
			block := (first + min(j, n-1)) * shortBlock // lanes without a block repeat the last one
			for i := range shortBlock {
				v := src[block+i]
				x[i][j] = v
				weight[i][j] = float32(importance[block+i] * spread(variance, v))
			}
		}
		use(first, n)
	}
}

func meanSquare(row []float32) (sum float32) {
	for _, v := range row {
		sum += float32(v * v)
	}
	return sum / float32(len(row))
}

func reciprocal(d float32) float32 {
	if d == 0 {
		return 0
	}
	return 1 / d
}

// truncated rounds towards zero; what does not fit becomes the smallest number, on every machine.
func truncated(v float32) int32 {
	if v >= math.MinInt32 && v < -math.MinInt32 {
		return int32(v)
	}
	return math.MinInt32
}

func (c *shortCodes) packNibbles(out []byte) {
	for i := range out {
		out[i] = c[i]&15 | c[i+shortBlock/2]&15<<4
	}
}

func (c *shortCodes) highBits() (bits uint32) {
	for i, code := range c {
		bits |= uint32(code) >> 4 & 1 << i
	}
	return bits
}

// negativeZero changes nothing that it is added to, not even the sign of a zero.
var negativeZero = float32(math.Copysign(0, -1))

func decodeQ4_0(dst []float32, src []byte) {
	decodeShort(dst, src, 18, func(in []byte) (d, m float32, bits uint32, nibbles []byte) {
		d = widen(binary.LittleEndian.Uint16(in))
		return d, negativeZero, 0, in[2:]
	}, 8)
}

func decodeQ5_0(dst []float32, src []byte) {
	decodeShort(dst, src, 22, func(in []byte) (d, m float32, bits uint32, nibbles []byte) {
		d = widen(binary.LittleEndian.Uint16(in))
		return d, negativeZero, binary.LittleEndian.Uint32(in[2:]), in[6:]
	}, 16)
}

func decodeQ4_1(dst []float32, src []byte) {
	decodeShort(dst, src, 20, func(in []byte) (d, m float32, bits uint32, nibbles []byte) {
		d, m = widen(binary.LittleEndian.Uint16(in)), widen(binary.LittleEndian.Uint16(in[2:]))
		return d, m, 0, in[4:]
	}, 0)
}

func decodeQ5_1(dst []float32, src []byte) {
	decodeShort(dst, src, 24, func(in []byte) (d, m float32, bits uint32, nibbles []byte) {
		d, m = widen(binary.LittleEndian.Uint16(in)), widen(binary.LittleEndian.Uint16(in[2:]))
		return d, m, binary.LittleEndian.Uint32(in[4:]), in[8:]
	}, 0)
}

// decodeShort decodes blocks of size bytes, whose parts open gives; codes are counted from zero.
func decodeShort(dst []float32, src []byte, size int, open func(in []byte) (d, m float32, bits uint32, nibbles []byte), zero int) {
	for b := range len(dst) / shortBlock {
		d, m, bits, nibbles := open(src[b*size:][:size])
		to := dst[b*shortBlock:][:shortBlock]
		for i := range to {
			code := nibbles[i%16]>>(i/16*4)&15 | uint8(bits>>i&1)<<4
			to[i] = float32(d*float32(int(code)-zero)) + m
		}
	}
}
