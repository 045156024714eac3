package so8t

import "golang.org/x/sys/cpu"

// withAVX2 reports whether strips are merged in AVX2 (merge_amd64.s). The bits are the same.
var withAVX2 = cpu.X86.HasAVX2

// mergePairsAVX2 is mergeRow of pairs of whole rows of a strip: rows of w and of b are in and rank
// elements apart.
//
//go:noescape
func mergePairsAVX2(w *float32, packed, b *float64, pairs, in, rank int, scale float64)

// fast merges the rows of a whole strip that it can, and returns how many.
func (m merging) fast(first int, packed []float64) int {
	pairs := len(m.w) / m.in / 2
	if !withAVX2 || pairs == 0 {
		return 0
	}
	_, _, _ = m.w[(2*pairs-1)*m.in+first+stripColumns-1], packed[m.rank*stripColumns-1], m.b[2*pairs*m.rank-1]
	mergePairsAVX2(&m.w[first], &packed[0], &m.b[0], pairs, m.in, m.rank, m.scale)
	return 2 * pairs
}
