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

// RotationGrad carries a gradient with respect to R back to the 28 parameters.
// dR = N dA N with N = (I+R)/2 = (I - A/2)⁻¹, hence dL/dA = Nᵀ G Nᵀ; each
// parameter appears twice in A, with opposite signs.
func RotationGrad(r, dr Matrix, dtheta []float64) {
	var nt Matrix // Nᵀ
	for i := range Block {
		for j := range Block {
			nt[i*Block+j] = r[j*Block+i] / 2
		}
		nt[i*Block+i] += 0.5
	}
	da := mul(mul(nt, dr), nt)
	p := 0
	for i := range Block {
		for j := i + 1; j < Block; j++ {
			dtheta[p] = da[i*Block+j] - da[j*Block+i]
			p++
		}
	}
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

// Apply rotates rows: y[8n+o] = Σ_i x[8n+i] R_n[i,o]. x, y: [rows, 8·len(r)];
// y may be x.
func Apply(r []Matrix, x, y []float64) {
	width := Block * len(r)
	for row := 0; row+width <= len(x); row += width {
		for n := range r {
			in := [Block]float64(x[row+n*Block:])
			out := y[row+n*Block:][:Block]
			for o := range Block {
				sum := 0.0
				for i := range Block {
					sum += in[i] * r[n][i*Block+o]
				}
				out[o] = sum
			}
		}
	}
}

// ApplyGrad is the backward pass of Apply: dx = dy·Rᵀ and the gradient of every
// parameter, summed over rows. dx may be nil. dtheta: [n·28], overwritten.
func ApplyGrad(r []Matrix, x, dy, dx, dtheta []float64) {
	width := Block * len(r)
	for n := range r {
		var dr Matrix
		for row := 0; row+width <= len(x); row += width {
			in, g := x[row+n*Block:][:Block], dy[row+n*Block:][:Block]
			for i := range Block {
				for o := range Block {
					dr[i*Block+o] += in[i] * g[o]
				}
			}
		}
		RotationGrad(r[n], dr, dtheta[n*Params:][:Params])
	}
	if dx == nil {
		return
	}
	back := make([]Matrix, len(r))
	for n := range r {
		back[n] = transpose(r[n])
	}
	Apply(back, dy, dx)
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

// Scale multiplies the parameters: R(alpha) = Cayley(alpha·A) is a path from the
// identity (0) to the trained gate (1) that stays orthogonal.
func Scale(theta []float32, alpha float32) []float32 {
	out := make([]float32, len(theta))
	for i, v := range theta {
		out[i] = alpha * v
	}
	return out
}
