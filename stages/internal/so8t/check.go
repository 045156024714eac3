package so8t

import (
	"math"
	"slices"
)

// Orthogonality is how far a gate's rotations are from SO(8); for a Cayley map it
// is rounding error whatever the parameters, so it is a monitor, not a loss.
type Orthogonality struct {
	MaxError float64 // max |RᵀR - I| over all blocks and entries
	DetError float64 // max |det R - 1| over blocks
}

// CheckOrthogonality measures a gate.
func CheckOrthogonality(r []Matrix) (o Orthogonality) {
	for _, m := range r {
		p := mul(transpose(m), m)
		for i := range Block {
			p[i*Block+i]--
		}
		for _, v := range p {
			o.MaxError = math.Max(o.MaxError, math.Abs(v))
		}
		o.DetError = math.Max(o.DetError, math.Abs(determinant(m)-1))
	}
	return o
}

// Angles are the rotation angles of a gate in radians, over the four planes of
// every block.
type Angles struct{ Mean, Max float64 }

// MeasureAngles summarises a gate. A plane of A with eigenvalues ±iφ is rotated by
// 2·atan(φ/2) under the Cayley map; φ² are the (doubled) eigenvalues of AᵀA.
func MeasureAngles(theta []float32) (a Angles) {
	blocks := len(theta) / Params
	var wide [Params]float64
	for n := range blocks {
		for p := range wide {
			wide[p] = float64(theta[n*Params+p])
		}
		for _, angle := range planes(wide[:]) {
			a.Mean += angle
			a.Max = math.Max(a.Max, angle)
		}
	}
	if blocks > 0 {
		a.Mean /= float64(4 * blocks)
	}
	return a
}

// planes returns the four rotation angles of one block, ascending.
func planes(theta []float64) (angles [Block / 2]float64) {
	s := Skew(theta)
	ev := eigenvalues(mul(transpose(s), s))
	slices.Sort(ev[:])
	for i := range angles {
		phi := math.Sqrt(math.Max(0, (ev[2*i]+ev[2*i+1])/2))
		angles[i] = 2 * math.Atan(phi/2)
	}
	return angles
}
