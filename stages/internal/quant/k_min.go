package quant

import "encoding/binary"

// Q4_K and Q5_K: 256 weights in 8 sub-blocks of 32; x ≈ d·scale·code − dmin·min, where d and dmin
// are float16 and each sub-block has a scale and a min of 6 bits.
const (
	subBlocks   = 8
	scaleBytes  = 12
	kHeader     = 2 + 2 + scaleBytes // d, dmin, scales and mins
	q4Bytes     = kHeader + superBlock/2
	q5Bytes     = kHeader + superBlock/8 + superBlock/2 // high bits, low nibbles
	largest6Bit = 63
)

// The candidates, without and with importance (there the grid is finer).
var (
	q4Numerators         = numeratorsOf(15, -1, 0.1, 20)
	q4WeightedNumerators = numeratorsOf(15, -0.9, 0.05, 36)
	q5Numerators         = numeratorsOf(31, -0.5, 0.1, 15)
	q5WeightedNumerators = numeratorsOf(31, -0.9, 0.05, 36)
)

// minCodes are the codes of a super-block: byte j of word i is element i of sub-block j.
type minCodes [32]uint64

func encodeQ4K(dst []byte, src, importance []float32) {
	s := minSearch{top: 15, numerators: q4Numerators}
	if importance != nil {
		s.numerators = q4WeightedNumerators
	}
	var codes minCodes
	for at := 0; at < len(src); at += superBlock {
		out := dst[at/superBlock*q4Bytes:][:q4Bytes]
		s.superBlock(out, src[at:][:superBlock], part(importance, at, superBlock), &codes)
		codes.packNibbles(out[kHeader:])
	}
}

func encodeQ5K(dst []byte, src, importance []float32) {
	s := minSearch{top: 31, numerators: q5Numerators}
	if importance != nil {
		s.numerators = q5WeightedNumerators
	}
	var codes minCodes
	for at := 0; at < len(src); at += superBlock {
		out := dst[at/superBlock*q5Bytes:][:q5Bytes]
		s.superBlock(out, src[at:][:superBlock], part(importance, at, superBlock), &codes)
		codes.packHighBits(out[kHeader:][:superBlock/8])
		codes.packNibbles(out[kHeader+superBlock/8:])
	}
}

// part is n elements of importance, nil when there is none.
func part(importance []float32, at, n int) []float32 {
	if importance == nil {
		return nil
	}
	return importance[at:][:n]
}

// superBlock writes a super-block's header and leaves its codes in codes.
func (s *minSearch) superBlock(out []byte, src, importance []float32, codes *minCodes) {
	across(s.x[:], src)
	if importance == nil {
		weighByMagnitude(s)
	} else {
		s.weigh(src, importance)
	}
	runMin(s)
	var d, dmin float32
	var scales, mins [subBlocks]uint8
	if importance == nil {
		d, scales = sixBits(&s.scale)
		dmin, mins = sixBits(&s.min)
	} else {
		total := s.totalWeights()
		d, scales = positive(&s.scale, &total)
		dmin, mins = positive(&s.min, &total)
	}
	packScales(out[4:kHeader], &scales, &mins)
	half16, halfMin := half(d), half(dmin)
	binary.LittleEndian.PutUint16(out, half16)
	binary.LittleEndian.PutUint16(out[2:], halfMin)
	scales, mins = unpackScales(out[4:kHeader])
	var steps, bases column
	for j := range subBlocks {
		steps[j] = float32(widen(half16) * float32(scales[j]))
		bases[j] = float32(widen(halfMin) * float32(mins[j]))
	}
	roundMin(s, &steps, &bases, codes)
	for j, step := range steps {
		if step == 0 { // nothing to divide by: the search's codes stay
			for i := range codes {
				codes[i] = codes[i]&^(0xff<<(8*j)) | uint64(s.found(i, j))<<(8*j)
			}
		}
	}
}

// weighByMagnitudeInGo sets weights to √(mean square of the sub-block) + |x|.
func (s *minSearch) weighByMagnitudeInGo() {
	var mean column
	for i := range s.x {
		for j, x := range s.x[i] {
			mean[j] += float32(x * x)
		}
	}
	for j := range mean {
		mean[j] = squareRoot(mean[j] / 32)
	}
	for i := range s.x {
		for j, x := range s.x[i] {
			s.weight[i][j] = mean[j] + abs(x)
		}
	}
}

// weigh sets weights to importance·√(2·mean square of the super-block + x²).
func (s *minSearch) weigh(src, importance []float32) {
	var sum float32
	for _, x := range src {
		sum += float32(x * x)
	}
	variance := 2 * sum / superBlock
	across(s.weight[:], importance)
	for i := range s.weight {
		for j, w := range s.weight[i] {
			s.weight[i][j] = float32(w * spread(variance, s.x[i][j]))
		}
	}
}

func (s *minSearch) totalWeights() (total column) {
	for i := range s.weight {
		for j, w := range s.weight[i] {
			total[j] += w
		}
	}
	return total
}

// roundInGo gives every element its code for the stored scales and mins.
func (s *minSearch) roundInGo(steps, bases *column, codes *minCodes) {
	top := int32(s.top)
	for i := range s.x {
		var word uint64
		for j, x := range s.x[i] {
			word |= uint64(max(0, min(top, nearest((x+bases[j])/steps[j])))) << (8 * j)
		}
		codes[i] = word
	}
}

// sixBits scales values to 0 … 63 by the largest.
func sixBits(values *column) (unit float32, codes [subBlocks]uint8) {
	var largest float32
	for _, v := range values {
		if v > largest {
			largest = v
		}
	}
	var inverse float32
	if largest > 0 {
		inverse = largest6Bit / largest
	}
	for j, v := range values {
		codes[j] = min(largest6Bit, uint8(nearest(float32(inverse*v))))
	}
	return largest / largest6Bit, codes
}

// packScales: the low 6 bits of bytes 0–3 and 4–7 are scales and mins 0–3; bytes 8–11 are the low
// nibbles of scales and mins 4–7, whose high bits are on top of bytes 0–3 and 4–7.
func packScales(out []byte, scales, mins *[subBlocks]uint8) {
	out = out[:scaleBytes]
	for j := range 4 {
		out[j] = scales[j] | scales[j+4]>>4<<6
		out[j+4] = mins[j] | mins[j+4]>>4<<6
		out[j+8] = scales[j+4]&15 | mins[j+4]&15<<4
	}
}

func unpackScales(in []byte) (scales, mins [subBlocks]uint8) {
	in = in[:scaleBytes]
	for j := range 4 {
		scales[j], mins[j] = in[j]&63, in[j+4]&63
		scales[j+4] = in[j+8]&15 | in[j]>>6<<4
		mins[j+4] = in[j+8]>>4 | in[j+4]>>6<<4
	}
	return scales, mins
}

// packNibbles: of each 64 weights the first 32 are low nibbles, the others high ones.
func (c *minCodes) packNibbles(out []byte) {
	out = out[:superBlock/2]
	for i, word := range c {
		word &= 0x0f0f0f0f0f0f0f0f
		word |= word >> 4
		out[i], out[32+i], out[64+i], out[96+i] = byte(word), byte(word>>16), byte(word>>32), byte(word>>48)
	}
}

// packHighBits: bit j of byte i is bit 4 of element i of sub-block j.
func (c *minCodes) packHighBits(out []byte) {
	out = out[:32]
	for i, word := range c {
		// The multiplication gathers bit 0 of each byte in the top byte, in their order.
		out[i] = byte(word >> 4 & 0x0101010101010101 * 0x0102040810204080 >> 56)
	}
}

func decodeQ4K(dst []float32, src []byte) {
	var none [superBlock / 8]byte
	for b := range len(dst) / superBlock {
		in := src[b*q4Bytes:][:q4Bytes]
		decodeMin(dst[b*superBlock:][:superBlock], in, &none, in[kHeader:])
	}
}

func decodeQ5K(dst []float32, src []byte) {
	for b := range len(dst) / superBlock {
		in := src[b*q5Bytes:][:q5Bytes]
		high := (*[superBlock / 8]byte)(in[kHeader:])
		decodeMin(dst[b*superBlock:][:superBlock], in, high, in[kHeader+superBlock/8:])
	}
}

// decodeMin decodes a super-block; bit j of byte i of high is the high bit of element i of
// sub-block j.
func decodeMin(dst []float32, header []byte, high *[32]byte, nibbles []byte) {
	d, dmin := widen(binary.LittleEndian.Uint16(header)), widen(binary.LittleEndian.Uint16(header[2:]))
	scales, mins := unpackScales(header[4:kHeader])
	for j := 0; j < subBlocks; j += 2 {
		step0, base0 := float32(d*float32(scales[j])), float32(dmin*float32(mins[j]))
		step1, base1 := float32(d*float32(scales[j+1])), float32(dmin*float32(mins[j+1]))
		pairs := (*[32]byte)(nibbles[j/2*32:])
		low, up := (*[32]float32)(dst[j*32:]), (*[32]float32)(dst[(j+1)*32:])
		for i, pair := range pairs {
			bits := high[i] >> j
			low[i] = float32(step0*float32(int32(pair&15|bits&1<<4))) - base0
			up[i] = float32(step1*float32(int32(pair>>4|bits>>1&1<<4))) - base1
		}
	}
}
