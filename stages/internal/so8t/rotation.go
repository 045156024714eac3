package so8t

import (
	"fmt"
	"math"
)

// Block is the number of channels one rotation acts on; Params the number of its
// free parameters: the upper triangle of an 8×8 skew matrix, row by row.
const (
	Block  = 8
	Params = Block * (Block - 1) / 2
)

// Matrix is one 8×8 block, row-major.
type Matrix [Block * Block]float64

// Skew expands 28 parameters to A: A[i,j] = +p above the diagonal, -p below.
func Skew(theta []float64) (a Matrix) {
	p := 0
	for i := range Block {
		for j := i + 1; j < Block; j++ {
			a[i*Block+j] = theta[p]
			a[j*Block+i] = -theta[p]
			p++
		}
	}
	return a
}

// Rotation is the Cayley map of 28 parameters: it solves (I - A/2) R = I + A/2.
// The matrix is never singular: A's eigenvalues are imaginary.
func Rotation(theta []float64) Matrix {
	a := Skew(theta)
	var lhs, rhs Matrix
	for i := range a {
		lhs[i], rhs[i] = -a[i]/2, a[i]/2
	}
	for i := range Block {
		lhs[i*Block+i]++
		rhs[i*Block+i]++
	}
	return solve(lhs, rhs)
}

// Rotations evaluates all blocks of one gate in float64. theta: [n·28] → [n].
func Rotations(theta []float32) []Matrix {
	out := make([]Matrix, len(theta)/Params)
	var wide [Params]float64
	for n := range out {
		for p := range wide {
			wide[p] = float64(theta[n*Params+p])
		}
		out[n] = Rotation(wide[:])
	}
	return out
}

// CheckTheta says what is wrong with a gate's parameters for a layer of the given
// width: a wrong count or a value that is not finite.
func CheckTheta(theta []float32, hidden int) error {
	if hidden%Block != 0 {
		return fmt.Errorf("gate: width %d is not a multiple of %d", hidden, Block)
	}
	if want := hidden / Block * Params; len(theta) != want {
		return fmt.Errorf("gate: %d parameters, expected %d for width %d", len(theta), want, hidden)
	}
	for i, v := range theta {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("gate: parameter %d of block %d is %v", i%Params, i/Params, v)
		}
	}
	return nil
}
