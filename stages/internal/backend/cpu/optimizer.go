package cpu

import (
	"math"

	"github.com/so8t/so8t/stages/internal/backend"
)

// sumBlock is the length of one partial sum: fixed, so that the total does not depend on the threads.
const sumBlock = 1 << 14

func (m *machine[T]) SumSquares(acc, x backend.Buffer) {
	m.run("a sum of squares", func() {
		v := data[T](x)
		blocks := (len(v) + sumBlock - 1) / sumBlock
		sums := make([]float64, blocks)
		m.split(blocks, 1, 1, func(i, j int) {
			for b := i; b < j; b++ {
				sums[b] = m.k.sumSquares(v[b*sumBlock : min(len(v), (b+1)*sumBlock)])
			}
		})
		var sum float64
		for _, s := range sums {
			sum += s
		}
		a := data[T](acc)
		a[0] = T(float64(a[0]) + sum)
	})
}

func (m *machine[T]) AdamW(a backend.AdamWArgs) {
	m.run("AdamW", func() {
		p, g, mo, ve := data[T](a.P), data[T](a.G), data[T](a.M), data[T](a.V)
		if len(g) != len(p) || len(mo) != len(p) || len(ve) != len(p) {
			panic("parameter, gradient and moments differ in length")
		}
		c := adamW{
			gradScale: a.GradScale, shrink: 1 - a.LR*a.Decay, beta1: a.Beta1, beta2: a.Beta2,
			rate:  a.LR / (1 - math.Pow(a.Beta1, float64(a.Step))),
			root2: math.Sqrt(1 - math.Pow(a.Beta2, float64(a.Step))), eps: a.Eps,
		}
		m.split(len(p), 64, grain, func(i, j int) { m.k.adamW(p[i:j], g[i:j], mo[i:j], ve[i:j], c) })
	})
}
