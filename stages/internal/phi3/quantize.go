package phi3

import (
	"math"

	"github.com/so8t/so8t/stages/internal/backend"
)

// loadInt8 quantises row by row.
func loadInt8(s Source, t Tensor) (backend.WeightData, error) {
	d := backend.WeightData{Kind: backend.Int8, Rows: t.Shape[0], Cols: t.Shape[1], Int8: make([]int8, t.Len()), Scales: make([]float32, t.Shape[0])}
	return d, eachRow(s, t, func(r int, row []float32) {
		d.Scales[r] = QuantizeInt8(d.Int8[r*d.Cols:][:d.Cols], row)
	})
}

// whole, added to a number below 2²², rounds it to a whole one, ties to even: that is then the
// distance of the sum's bits from those of whole.
const (
	whole     float32 = 3 << 22
	wholeBits         = 0x4b400000
)

// QuantizeInt8 fills codes from one row and returns its scale: absmax/127 (f32); a code is
// round-half-even(w/scale) within ±127; a zero row has scale 0.
func QuantizeInt8(codes []int8, row []float32) float32 {
	scale := absMax(row) / 127
	if scale == 0 {
		clear(codes)
		return 0
	}
	for i, v := range row {
		q := int32(math.Float32bits(float32(v/scale)+whole)) - wholeBits
		codes[i] = int8(min(127, max(-127, q)))
	}
	return scale
}

// loadNF4 quantises chunk by chunk, then the scales.
func loadNF4(s Source, t Tensor) (backend.WeightData, error) {
	d := backend.WeightData{Kind: backend.NF4, Rows: t.Shape[0], Cols: t.Shape[1], NF4: make([]uint8, (t.Len()+1)/2)}
	scales := make([]float32, backend.NF4Blocks(t.Len()))
	err := eachChunk(s, t, func(r int, rows []float32) {
		at := r * d.Cols // a multiple of chunkRows rows: a chunk begins with a whole block
		for i := 0; i < len(rows); i += backend.NF4Block {
			block := rows[i:min(i+backend.NF4Block, len(rows))]
			scales[(at+i)/backend.NF4Block] = quantizeNF4(d.NF4[(at+i)/2:], block)
		}
	})
	d.NF4Scales = backend.NewNF4Scales(scales)
	return d, err
}

// quantizeNF4 fills the codes of one block and returns its scale, the largest magnitude.
func quantizeNF4(codes []uint8, block []float32) float32 {
	top := absMax(block)
	for i, v := range block {
		x := float32(0)
		if top > 0 {
			x = v / top
		}
		if c := backend.NF4Code(x); i%2 == 0 {
			codes[i/2] = c << 4
		} else {
			codes[i/2] |= c
		}
	}
	return top
}

func absMax(values []float32) (top float32) {
	for _, v := range values {
		top = max(top, max(v, -v))
	}
	return top
}
