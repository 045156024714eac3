package quant

import "encoding/binary"

// Q6_K: 256 weights in 16 sub-blocks of 16; x ≈ d·scale·(code − 32), scales of 8 bits. Q3_K has
// the same shape with codes of 3 bits and scales of 6 (q3_k.go).
const (
	evenBlocks = 16                 // sub-blocks
	evenBlock  = 16                 // elements of one
	q6Scales   = superBlock * 3 / 4 // place of the scales, behind the low nibbles and the high bits
	q6D        = q6Scales + evenBlocks
	q6Bytes    = q6D + 2
)

var q6Numerators = evenNumerators(32)

// evenCodes are the codes of half a super-block: byte j of word i is element i of sub-block j.
type evenCodes [evenBlock]uint64

func encodeQ6K(dst []byte, src, importance []float32) {
	var halves [2]evenSearch
	for h := range halves {
		halves[h].n, halves[h].top, halves[h].numerators = evenBlock, 32, q6Numerators
	}
	for at := 0; at < len(src); at += superBlock {
		out := dst[at/superBlock*q6Bytes:][:q6Bytes]
		for h := range halves {
			from := at + h*superBlock/2
			halves[h].fill(src[from:][:superBlock/2], part(importance, from, superBlock/2))
			runEven(&halves[h])
		}
		encodeQ6Block(out, &halves)
	}
}

// fill takes in half a super-block; weights are importance, else x².
func (s *evenSearch) fill(src, importance []float32) {
	across(s.x[:evenBlock], src)
	if importance != nil {
		across(s.weight[:evenBlock], importance)
		return
	}
	for i := range evenBlock {
		for j, x := range s.x[i] {
			s.weight[i][j] = float32(x * x)
		}
	}
}

// encodeQ6Block writes a super-block whose scales were found.
func encodeQ6Block(out []byte, halves *[2]evenSearch) {
	var largest, magnitude float32
	for h := range halves {
		for _, v := range halves[h].scale {
			if a := abs(v); a > magnitude {
				largest, magnitude = v, a
			}
		}
	}
	if magnitude < tinyScale {
		clear(out)
		return
	}
	inverse := -128 / largest
	d := half(1 / inverse)
	binary.LittleEndian.PutUint16(out[q6D:], d)
	for h := range halves {
		s := &halves[h]
		var steps column
		for j, v := range s.scale {
			scale := int8(min(127, nearest(float32(inverse*v))))
			out[q6Scales+h*lanes+j] = uint8(scale)
			steps[j] = float32(widen(d) * float32(scale))
		}
		var codes evenCodes
		s.round(&steps, &codes)
		codes.packSixBits(out[h*64:][:64], out[superBlock/2+h*32:][:32])
	}
}

// round gives every element its code, counted from 0, for the stored scales; a sub-block whose
// scale is 0 keeps what the search found.
func (s *evenSearch) round(steps *column, codes *evenCodes) {
	roundEven(s, steps, codes)
	for j, step := range steps {
		if step == 0 {
			for i := range codes {
				codes[i] = codes[i]&^(0xff<<(8*j)) | uint64(s.found(i, j))<<(8*j)
			}
		}
	}
}

func (s *evenSearch) roundInGo(steps *column, codes *evenCodes) {
	top := int32(s.top)
	for i := range codes {
		var word uint64
		for j, x := range s.x[i] {
			word |= uint64(top+max(-top, min(top-1, nearest(x/steps[j])))) << (8 * j)
		}
		codes[i] = word
	}
}

// packSixBits: low nibbles of sub-blocks 0–3 with those of 4–7 above them, and the high pairs of
// bits of every second sub-block in one byte.
func (c *evenCodes) packSixBits(low, high []byte) {
	low, high = low[:64], high[:32]
	for i, word := range c {
		nibbles := word & 0x0f0f0f0f0f0f0f0f
		nibbles |= nibbles >> 28
		low[i], low[16+i], low[32+i], low[48+i] = byte(nibbles), byte(nibbles>>8), byte(nibbles>>16), byte(nibbles>>24)
		pairs := word >> 4 & 0x0303030303030303
		pairs |= pairs>>14 | pairs>>28 | pairs>>42
		high[i], high[16+i] = byte(pairs), byte(pairs>>8)
	}
}

func decodeQ6K(dst []float32, src []byte) {
	for b := range len(dst) / superBlock {
		in, to := src[b*q6Bytes:][:q6Bytes], dst[b*superBlock:][:superBlock]
		d := widen(binary.LittleEndian.Uint16(in[q6D:]))
		for j := range evenBlocks {
			half, k := j/lanes, j%lanes
			step := float32(d * float32(int8(in[q6Scales+j])))
			low, high := in[half*64+k%4*16:][:16], in[superBlock/2+half*32+k%2*16:][:16]
			for i := range evenBlock {
				code := low[i]>>(k/4*4)&15 | high[i]>>(k/2*2)&3<<4
				to[j*evenBlock+i] = float32(step * float32(int(code)-32))
			}
		}
	}
}
