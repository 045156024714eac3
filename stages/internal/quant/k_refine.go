package quant

// refined improves whole numbers one at a time: x ≈ scale·l with the weighted error least. It is
// what Q3_K does to a sub-block and the K-quants with importance to a super-block's scales.
type refined struct {
	x, weight     []float32
	l             []int32
	sumLX, sumL2  float32
	low, high     int32
	needsPositive bool // both sums without the element, not only the first
}

const refinePasses = 5

func (r *refined) start() {
	for i, x := range r.x {
		w, l := r.weight[i], float32(r.l[i])
		r.sumLX += float32(float32(w*x) * l)
		r.sumL2 += float32(float32(w*l) * l)
	}
}

func (r *refined) improve() {
	for range refinePasses {
		changed := false
		for i := range r.x {
			changed = r.try(i) || changed
		}
		if !changed {
			return
		}
	}
}

// try gives element i the best number for the others' scale, if that is better.
func (r *refined) try(i int) bool {
	x, w, l := r.x[i], r.weight[i], float32(r.l[i])
	sumLX := r.sumLX - float32(float32(w*x)*l)
	sumL2 := r.sumL2 - float32(float32(w*l)*l)
	if !(sumLX > 0) || r.needsPositive && !(sumL2 > 0) {
		return false
	}
	next := max(r.low, min(r.high, nearest(float32(x*sumL2)/sumLX)))
	if next == r.l[i] {
		return false
	}
	n := float32(next)
	sumLX += float32(float32(w*x) * n)
	sumL2 += float32(float32(w*n) * n)
	better := float32(float32(sumLX*sumLX)*r.sumL2) > float32(float32(r.sumLX*r.sumLX)*sumL2)
	if !better || !r.needsPositive && !(sumL2 > 0) {
		return false
	}
	r.l[i], r.sumLX, r.sumL2 = next, sumLX, sumL2
	return true
}

func (r *refined) scale() float32 {
	if r.sumL2 > 0 {
		return r.sumLX / r.sumL2
	}
	return 0
}

// positive scales values that are not negative to 0 … 63 with the weighted error least.
func positive(values, weights *column) (unit float32, codes [subBlocks]uint8) {
	var largest float32
	for _, v := range values {
		largest = max(largest, v)
	}
	if largest < tinyScale {
		return 0, codes
	}
	inverse := bestInverse(values, weights, largest)
	r := refined{x: values[:], weight: weights[:], l: make([]int32, subBlocks), low: -1 << 22, high: largest6Bit, needsPositive: true}
	for i, v := range values {
		r.l[i] = min(largest6Bit, nearest(float32(inverse*v)))
	}
	r.start()
	r.improve()
	for i, l := range r.l {
		codes[i] = uint8(l)
	}
	return r.scale(), codes
}

// bestInverse tries scales about 63/largest.
func bestInverse(values, weights *column, largest float32) float32 {
	const step float32 = 0.1
	best := largest6Bit / largest
	least := inverseLoss(values, weights, best)
	for i := -4; i <= 4; i++ {
		if i == 0 {
			continue
		}
		inverse := (float32(step*float32(i)) + largest6Bit) / largest
		if loss := inverseLoss(values, weights, inverse); loss < least {
			best, least = inverse, loss
		}
	}
	return best
}

func inverseLoss(values, weights *column, inverse float32) (loss float32) {
	scale := 1 / inverse
	for i, v := range values {
		d := v - float32(scale*float32(min(largest6Bit, nearest(float32(inverse*v)))))
		loss += float32(float32(weights[i]*d) * d)
	}
	return loss
}
