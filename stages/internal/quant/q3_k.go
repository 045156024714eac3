package quant

import "encoding/binary"

// Q3_K: 256 weights in 16 sub-blocks of 16; x ≈ d·(scale − 32)·(code − 4), scales of 6 bits.
const (
	q3Low    = superBlock / 8        // place of the low pairs of bits, behind the high bits
	q3Scales = q3Low + superBlock/4  // place of the scales
	q3D      = q3Scales + scaleBytes // place of d
	q3Bytes  = q3D + 2
	q3Top    = 4
	q3Middle = 32 // what a scale is counted from
)

var q3Numerators, q3ScaleNumerators = evenNumerators(q3Top), evenNumerators(q3Middle)

func encodeQ3K(dst []byte, src, importance []float32) {
	for at := 0; at < len(src); at += superBlock {
		out, x := dst[at/superBlock*q3Bytes:][:q3Bytes], src[at:][:superBlock]
		var codes [superBlock]uint8
		var scales [evenBlocks]uint8
		var d float32
		if importance == nil {
			d, scales = q3Search(x, &codes)
		} else {
			d, scales = q3WeightedSearch(x, importance[at:][:superBlock], &codes)
		}
		binary.LittleEndian.PutUint16(out[q3D:], half(d))
		packQ3Scales(out[q3Scales:q3D], &scales)
		for j, scale := range scales {
			step := float32(widen(half(d)) * float32(int(scale)-q3Middle))
			if step == 0 {
				continue // the search's codes stay
			}
			for i := j * evenBlock; i < (j+1)*evenBlock; i++ {
				codes[i] = uint8(q3Top + max(-q3Top, min(q3Top-1, nearest(x[i]/step))))
			}
		}
		packQ3Codes(out, &codes)
	}
}

// q3Search finds scales and codes of a super-block by refining the codes one at a time.
func q3Search(x []float32, codes *[superBlock]uint8) (d float32, scales [evenBlocks]uint8) {
	var found [evenBlocks]float32
	var largest, magnitude float32
	for j := range found {
		found[j] = refineQ3(x[j*evenBlock:][:evenBlock], codes[j*evenBlock:][:evenBlock])
		if a := abs(found[j]); a > magnitude {
			largest, magnitude = found[j], a
		}
	}
	if largest == 0 {
		return 0, scales
	}
	inverse := -q3Middle / largest
	for j, v := range found {
		l := int32(int8(nearest(float32(inverse * v))))
		scales[j] = uint8(q3Middle + max(-q3Middle, min(q3Middle-1, l)))
	}
	return 1 / inverse, scales
}

func refineQ3(x []float32, codes []uint8) float32 {
	var largest, magnitude float32
	for _, v := range x {
		if a := abs(v); a > magnitude {
			largest, magnitude = v, a
		}
	}
	clear(codes)
	if magnitude < tinyScale {
		return 0
	}
	var weights [evenBlock]float32
	var l [evenBlock]int32
	inverse := -q3Top / largest
	for i, v := range x {
		weights[i] = float32(v * v)
		l[i] = max(-q3Top, min(q3Top-1, nearest(float32(inverse*v))))
	}
	r := refined{x: x, weight: weights[:], l: l[:], low: -q3Top, high: q3Top - 1}
	r.start()
	r.improve()
	for i, v := range l {
		codes[i] = uint8(q3Top + v)
	}
	return r.scale()
}

// q3WeightedSearch tries scales for each sub-block, and for the scales, by importance.
func q3WeightedSearch(x, importance []float32, codes *[superBlock]uint8) (d float32, scales [evenBlocks]uint8) {
	var sum float32
	for _, v := range x {
		sum += float32(v * v)
	}
	variance := 2 * sum / superBlock
	above := evenSearch{n: evenBlocks, top: q3Middle, numerators: q3ScaleNumerators} // the scales, in lane 0
	s := evenSearch{n: evenBlock, top: q3Top, numerators: q3Numerators}
	for h := range 2 {
		from := h * superBlock / 2
		across(s.x[:evenBlock], x[from:][:superBlock/2])
		across(s.weight[:evenBlock], importance[from:][:superBlock/2])
		for i := range evenBlock {
			for j, v := range s.x[i] {
				s.weight[i][j] = float32(s.weight[i][j] * spread(variance, v))
				above.weight[h*lanes+j][0] += s.weight[i][j]
			}
		}
		runEven(&s)
		for j, v := range s.scale {
			above.x[h*lanes+j][0] = v
			for i := range evenBlock {
				codes[from+j*evenBlock+i] = s.found(i, j)
			}
		}
	}
	above.runLane(0)
	for j := range scales {
		scales[j] = above.found(j, 0)
	}
	return above.scale[0], scales
}

// packQ3Scales: low nibbles of scales 0–7 with those of 8–15 above them, then the high pairs of
// bits of every fourth scale in one byte.
func packQ3Scales(out []byte, scales *[evenBlocks]uint8) {
	clear(out)
	for j, s := range scales {
		out[j%8] |= s & 15 << (j / 8 * 4)
		out[8+j%4] |= s >> 4 << (j / 4 * 2)
	}
}

func unpackQ3Scale(in []byte, j int) int {
	return int(in[j%8]>>(j/8*4)&15 | in[8+j%4]>>(j/4*2)&3<<4)
}

// packQ3Codes: bit j of byte i is the high bit of element 32·j + i; the low pairs of bits of
// elements i, i+32, i+64 and i+96 of each half are one byte.
func packQ3Codes(out []byte, codes *[superBlock]uint8) {
	clear(out[:q3Scales])
	for i, c := range codes {
		out[i%32] |= c >> 2 << (i / 32)
		out[q3Low+i/128*32+i%32] |= c & 3 << (i % 128 / 32 * 2)
	}
}

func decodeQ3K(dst []float32, src []byte) {
	for b := range len(dst) / superBlock {
		in, to := src[b*q3Bytes:][:q3Bytes], dst[b*superBlock:][:superBlock]
		d := widen(binary.LittleEndian.Uint16(in[q3D:]))
		for i := range to {
			step := float32(d * float32(unpackQ3Scale(in[q3Scales:q3D], i/evenBlock)-q3Middle))
			code := in[q3Low+i/128*32+i%32]>>(i%128/32*2)&3 | in[i%32]>>(i/32)&1<<2
			to[i] = float32(step * float32(int(code)-q3Top))
		}
	}
}
