package backend

import (
	"math"
	"slices"
)

// NF4 storage: blocks of NF4Block consecutive numbers of the row-major matrix (a block may cross rows, the last one may be short) share the
// largest magnitude among them, the block's scale; a number is a level times the scale, its code 4 bits. The scales are stored the same way
// once more ("double quantisation"): 8 bits each, against the largest of NF4Group of them, around their mean. In all 4.13 bits a number.
const (
	NF4Block = 64
	NF4Group = 256
)

// NF4Levels are the 16 values of a code: quantiles of the normal distribution, with 0 and both ends exact (Dettmers et al. 2023).
var NF4Levels = [16]float32{
	-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
}

// NF4Scales are the doubly quantised scales of a matrix.
type NF4Scales struct {
	Codes  []uint8   // one a block
	Groups []float32 // one for NF4Group blocks
	Mean   float32
}

// NF4Blocks is how many blocks n numbers make.
func NF4Blocks(n int) int { return (n + NF4Block - 1) / NF4Block }

// At is the scale of a block. It is float32 whatever a backend computes in: the stored matrix is one and the same everywhere.
func (s NF4Scales) At(block int) float32 {
	return s.Mean + float32(scaleLevels[s.Codes[block]]*s.Groups[block/NF4Group])
}

// NewNF4Scales stores scales in 8 bits each.
func NewNF4Scales(scales []float32) NF4Scales {
	sum := 0.0
	for _, v := range scales {
		sum += float64(v)
	}
	s := NF4Scales{Codes: make([]uint8, len(scales)), Mean: float32(sum / float64(max(1, len(scales))))}
	for group := range slices.Chunk(scales, NF4Group) {
		var top float32
		for _, v := range group {
			top = max(top, max(v-s.Mean, s.Mean-v))
		}
		at := len(s.Groups) * NF4Group
		s.Groups = append(s.Groups, top)
		for i, v := range group {
			x := float32(0)
			if top > 0 {
				x = (v - s.Mean) / top
			}
			s.Codes[at+i] = nearest(scaleLevels[:], x)
		}
	}
	return s
}

// NF4Code is the code of x, a number divided by its block's scale; a tie goes down.
func NF4Code(x float32) uint8 { return nearest(NF4Levels[:], x) }

// nearest is the place of the value nearest to x in an ascending list.
func nearest(levels []float32, x float32) uint8 {
	i, _ := slices.BinarySearch(levels, x)
	if i == len(levels) || i > 0 && x-levels[i-1] <= levels[i]-x {
		i--
	}
	return uint8(i)
}

// scaleLevels are the 256 values of a scale's code, dense around 0: for every power of ten from 1e-6 to 1 twice as many as for the one
// before, midpoints of equal parts of [0.1, 1] of it, both signs, and 0 and 1 ("dynamic map", Dettmers 2016).
var scaleLevels = func() (levels [256]float32) {
	list := []float32{0, 1}
	for i := range 7 {
		n, scale := 1<<i, math.Pow10(i-6)
		for k := range n {
			middle := 0.1 + 0.9*(float64(k)+0.5)/float64(n)
			list = append(list, float32(scale*middle), float32(-scale*middle))
		}
	}
	slices.Sort(list)
	copy(levels[:], list)
	return levels
}()
