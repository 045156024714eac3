package quant

import "math"

const (
	superBlock = 256 // elements a block of the K-quants
	lanes      = 8   // sub-blocks that are searched side by side
)

// column is one element, or one figure, of each of the sub-blocks that are searched together.
type column [lanes]float32

// tinyScale: sub-blocks whose largest magnitude is below it are taken for zero.
const tinyScale = 1e-15

// nearest rounds to the nearest whole number, ties to even, in the way that gives llama.cpp's
// numbers also where it overflows: by adding 1.5·2²³ and looking at the mantissa.
func nearest(v float32) int32 {
	return int32(math.Float32bits(v+12582912)&0x007fffff) - 0x00400000
}

// acrossInGo is across in Go.
func acrossInGo(columns []column, src []float32) {
	n := len(columns)
	src = src[:n*lanes]
	for j := range lanes {
		for i, v := range src[j*n : (j+1)*n] {
			columns[i][j] = v
		}
	}
}

// minSearch finds scales and minimums for eight sub-blocks of 32: x ≈ scale·code − min, codes
// 0 … top.
type minSearch struct {
	x, weight [32]column
	code      [32]column // scratch: codes of the candidate
	// Found:
	scale, min column
	// The codes of the best candidate are nearest(inverse·(x − base)) within 0 … top.
	inverse, base column

	top        float32   // largest code
	numerators []float32 // of the candidates for inverse: numerator/(max − min)
}

// numeratorsOf are the candidates' numerators first + step·i + top for i = 0 … steps, each
// operation rounded.
func numeratorsOf(top, first, step float32, steps int) []float32 {
	var all []float32
	for i := range steps + 1 {
		all = append(all, float32(first+float32(step*float32(i)))+top)
	}
	return all
}

// run is the search in Go; runMin may do it faster with the same result.
func (s *minSearch) run() {
	for j := range lanes {
		s.runLane(j)
	}
}

func (s *minSearch) runLane(j int) {
	low, high := s.x[0][j], s.x[0][j]
	sumW := s.weight[0][j]
	sumX := float32(sumW * low)
	for i := 1; i < 32; i++ {
		x, w := s.x[i][j], s.weight[i][j]
		if x < low {
			low = x
		}
		if x > high {
			high = x
		}
		sumW += w
		sumX += float32(w * x)
	}
	if low > 0 {
		low = 0
	}
	s.scale[j], s.min[j], s.inverse[j], s.base[j] = 0, -low, 0, low
	if high == low {
		return
	}
	inverse := s.top / (high - low)
	scale, minimum := 1/inverse, low
	s.inverse[j], s.base[j] = inverse, low
	s.encode(j, inverse, minimum)
	best := s.loss(j, scale, minimum)
	for _, numerator := range s.numerators {
		// The grid and its codes start at the best minimum so far, not at the lowest element.
		inverse := numerator / (high - minimum)
		sumL, sumL2, sumXL := s.encode(j, inverse, minimum)
		determinant := float32(sumW*sumL2) - float32(sumL*sumL)
		if !(determinant > 0) {
			continue
		}
		a := (float32(sumW*sumXL) - float32(sumX*sumL)) / determinant
		b := (float32(sumL2*sumX) - float32(sumL*sumXL)) / determinant
		if b > 0 {
			a, b = sumXL/sumL2, 0
		}
		if loss := s.loss(j, a, b); loss < best {
			s.inverse[j], s.base[j] = inverse, minimum
			best, scale, minimum = loss, a, b
		}
	}
	s.scale[j], s.min[j] = scale, -minimum
}

// encode fills a lane's codes and returns Σw·l, Σw·l² and Σw·l·x.
func (s *minSearch) encode(j int, inverse, base float32) (sumL, sumL2, sumXL float32) {
	top := int32(s.top)
	for i := range s.x {
		x, w := s.x[i][j], s.weight[i][j]
		l := float32(max(0, min(top, nearest(float32(inverse*(x-base))))))
		s.code[i][j] = l
		wl := float32(w * l)
		sumL += wl
		sumL2 += float32(wl * l)
		sumXL += float32(wl * x)
	}
	return sumL, sumL2, sumXL
}

// loss is Σ w·(scale·l + base − x)² of a lane.
func (s *minSearch) loss(j int, scale, base float32) (sum float32) {
	for i := range s.x {
		d := float32(scale*s.code[i][j]) + base - s.x[i][j]
		sum += float32(s.weight[i][j] * float32(d*d))
	}
	return sum
}

// found is code i of lane j as the best candidate has it.
func (s *minSearch) found(i, j int) uint8 {
	return uint8(max(0, min(int32(s.top), nearest(float32(s.inverse[j]*(s.x[i][j]-s.base[j]))))))
}

// evenSearch finds scales for eight sub-blocks of up to 32: x ≈ scale·code, codes −top … top−1.
type evenSearch struct {
	x, weight [32]column
	scale     column // found
	inverse   column // codes of the best candidate are nearest(inverse·x); 0 for a block of zeros

	n          int       // elements a sub-block
	top        float32   // −smallest code
	numerators []float32 // of the candidates for inverse: numerator/(element of largest magnitude)
}

// evenNumerators are −top first, then −(top + 0.1·i) for i = −9 … 9 without 0.
func evenNumerators(top float32) []float32 {
	const step float32 = 0.1
	all := []float32{-top}
	for i := -9; i <= 9; i++ {
		if i != 0 {
			all = append(all, -(top + float32(step*float32(i))))
		}
	}
	return all
}

// run is the search in Go; runEven may do it faster with the same result.
func (s *evenSearch) run() {
	for j := range lanes {
		s.runLane(j)
	}
}

func (s *evenSearch) runLane(j int) {
	var largest, magnitude float32
	for i := range s.n {
		if a := abs(s.x[i][j]); a > magnitude {
			largest, magnitude = s.x[i][j], a
		}
	}
	s.scale[j], s.inverse[j] = 0, 0
	if magnitude < tinyScale {
		return
	}
	var scale, best float32
	for k, numerator := range s.numerators {
		inverse := numerator / largest
		sumLX, sumL2 := s.sums(j, inverse)
		switch {
		case k == 0:
			if sumL2 != 0 {
				scale = sumLX / sumL2
			}
		case sumL2 > 0 && float32(sumLX*sumLX) > float32(best*sumL2):
			scale = sumLX / sumL2
		default:
			continue
		}
		best = float32(scale * sumLX)
		s.inverse[j] = inverse
	}
	s.scale[j] = scale
}

// sums returns Σw·x·l and Σw·l² of a lane.
func (s *evenSearch) sums(j int, inverse float32) (sumLX, sumL2 float32) {
	top := int32(s.top)
	for i := range s.n {
		x, w := s.x[i][j], s.weight[i][j]
		l := float32(max(-top, min(top-1, nearest(float32(inverse*x)))))
		sumLX += float32(float32(w*x) * l)
		sumL2 += float32(float32(w*l) * l)
	}
	return sumLX, sumL2
}

// found is code i of lane j as the best candidate has it, counted from 0; 0 in a block of zeros.
func (s *evenSearch) found(i, j int) uint8 {
	if s.inverse[j] == 0 {
		return 0
	}
	top := int32(s.top)
	return uint8(top + max(-top, min(top-1, nearest(float32(s.inverse[j]*s.x[i][j])))))
}

func abs(v float32) float32 { return math.Float32frombits(math.Float32bits(v) &^ (1 << 31)) }

func squareRoot(v float32) float32 { return float32(math.Sqrt(float64(v))) }

// spread is √(variance + x²). It is not inlined: some compilers of today fuse the sum where it is.
//
//go:noinline
func spread(variance, x float32) float32 {
	square := float32(x * x)
	return squareRoot(variance + square)
}
