package so8t

import "math"

func transpose(a Matrix) (t Matrix) {
	for i := range Block {
		for j := range Block {
			t[j*Block+i] = a[i*Block+j]
		}
	}
	return t
}

func mul(a, b Matrix) (c Matrix) {
	for i := range Block {
		for j := range Block {
			sum := 0.0
			for k := range Block {
				sum += a[i*Block+k] * b[k*Block+j]
			}
			c[i*Block+j] = sum
		}
	}
	return c
}

// solve returns a⁻¹·b by Gaussian elimination with partial pivoting.
func solve(a, b Matrix) Matrix {
	for k := range Block {
		pivot := k
		for i := k + 1; i < Block; i++ {
			if math.Abs(a[i*Block+k]) > math.Abs(a[pivot*Block+k]) {
				pivot = i
			}
		}
		swapRows(&a, k, pivot)
		swapRows(&b, k, pivot)
		for i := k + 1; i < Block; i++ {
			f := a[i*Block+k] / a[k*Block+k]
			if f == 0 {
				continue
			}
			for j := range Block {
				a[i*Block+j] -= f * a[k*Block+j]
				b[i*Block+j] -= f * b[k*Block+j]
			}
		}
	}
	for k := Block - 1; k >= 0; k-- {
		for j := range Block {
			sum := b[k*Block+j]
			for i := k + 1; i < Block; i++ {
				sum -= a[k*Block+i] * b[i*Block+j]
			}
			b[k*Block+j] = sum / a[k*Block+k]
		}
	}
	return b
}

func swapRows(a *Matrix, i, j int) {
	if i == j {
		return
	}
	for c := range Block {
		a[i*Block+c], a[j*Block+c] = a[j*Block+c], a[i*Block+c]
	}
}

// determinant by elimination.
func determinant(a Matrix) float64 {
	det := 1.0
	for k := range Block {
		pivot := k
		for i := k + 1; i < Block; i++ {
			if math.Abs(a[i*Block+k]) > math.Abs(a[pivot*Block+k]) {
				pivot = i
			}
		}
		if pivot != k {
			swapRows(&a, k, pivot)
			det = -det
		}
		p := a[k*Block+k]
		if p == 0 {
			return 0
		}
		det *= p
		for i := k + 1; i < Block; i++ {
			f := a[i*Block+k] / p
			for j := k; j < Block; j++ {
				a[i*Block+j] -= f * a[k*Block+j]
			}
		}
	}
	return det
}

// eigenvalues of a symmetric block by cyclic Jacobi rotations; converges
// quadratically, 8×8 needs fewer than ten sweeps.
func eigenvalues(a Matrix) [Block]float64 {
	for range 30 {
		off := 0.0
		for i := range Block {
			for j := i + 1; j < Block; j++ {
				off += a[i*Block+j] * a[i*Block+j]
			}
		}
		if off == 0 {
			break
		}
		for p := range Block {
			for q := p + 1; q < Block; q++ {
				jacobi(&a, p, q)
			}
		}
	}
	var out [Block]float64
	for i := range out {
		out[i] = a[i*Block+i]
	}
	return out
}

// jacobi zeroes a[p,q] by a rotation in the plane (p,q).
func jacobi(a *Matrix, p, q int) {
	apq := a[p*Block+q]
	if apq == 0 {
		return
	}
	tau := (a[q*Block+q] - a[p*Block+p]) / (2 * apq)
	t := math.Copysign(1, tau) / (math.Abs(tau) + math.Hypot(1, tau))
	c := 1 / math.Hypot(1, t)
	s := t * c
	for k := range Block {
		akp, akq := a[k*Block+p], a[k*Block+q]
		a[k*Block+p], a[k*Block+q] = c*akp-s*akq, s*akp+c*akq
	}
	for k := range Block {
		apk, aqk := a[p*Block+k], a[q*Block+k]
		a[p*Block+k], a[q*Block+k] = c*apk-s*aqk, s*apk+c*aqk
	}
	a[p*Block+q], a[q*Block+p] = 0, 0
}
