package cpu

import "github.com/so8t/so8t/stages/internal/backend"

// matrix is an operand of a product: element (i, j) is at data[i*rs + j*cs].
type matrix[T real] struct {
	data   []T
	rs, cs int
}

func (a matrix[T]) at(i, j int) matrix[T] { return matrix[T]{a.data[i*a.rs+j*a.cs:], a.rs, a.cs} }

// gemmFunc is C[m,n] = alpha A[m,k] B[k,n] + beta C, C row-major with rows ldc apart.
type gemmFunc[T real] func(m, n, k int, alpha T, a, b matrix[T], beta T, c []T, ldc int)

// part is a stored weight as an operand of a product, from an element on.
type part[T real] struct {
	*weight[T]
	row, col   int
	transposed bool
}

func (p part[T]) strides() (rs, cs int) {
	if p.transposed {
		return 1, p.cols
	}
	return p.cols, 1
}

// heads is one unit of attention: the query heads that share one key head, in one segment. Pointers are to the segment's first row.
type heads[T real] struct {
	q, k, v      []T // rows ld apart
	out          []T // rows ldo apart, the group's heads side by side
	lse          []T // rows ldl apart
	gq, gk, gv   []T // rows ld apart
	gout         []T // rows ldo apart
	ld, ldo, ldl int
	rows, dim    int
	group        int // query heads
	window       int // 0: none
	scale        T
}

// kernels are what a machine calls on one thread, with slices cut to the range to work on.
type kernels[T real] struct {
	// gemm computes one thread's part.
	gemm gemmFunc[T]
	// gemmStored, when set, is gemm with a weight of the kinds bf16 and int8, and the bits of widening it first; a.cs = 1.
	gemmStored func(m, n, k int, a matrix[T], w part[T], beta T, c []T, ldc int)
	// fewRows, when set, is gemm for at most few rows of A against a transposed B (b.rs = 1).
	fewRows gemmFunc[T]
	few     int
	// reader reads a format of blocks.
	reader func(backend.BlockFormat) blockReader[T]
	// panel is the number of columns that gemm works on at once: splits are multiples of it.
	panel int

	axpby func(dst []T, alpha T, x []T, beta T, y []T)
	// dropout works on the rows of one segment.
	dropout     func(d, x []T, cols int, key, id uint64, threshold uint32, keep, beta T)
	rmsNorm     func(y, inv, x, gain []T, cols int, eps T)
	rmsNormBack func(gx, gy, x, gain, inv []T, cols int, beta T)
	// gainBack adds over all rows for columns [from, to).
	gainBack   func(ggain, gy, x, inv []T, cols, from, to int, beta T)
	rope       func(dst, src []T, positions []int32, cos, sin []T, s backend.AttentionShape, rotary int, inverse bool)
	attend     func(h *heads[T])
	attendBack func(h *heads[T])
	// attendRow is one query over keys [from, t] whose rows are ld apart; scores has room for t+1 numbers, rounded up to rowScores.
	attendRow  func(out, q, k, v []T, ld, t, window int, scale T, scores []T)
	swiglu     func(y, gu []T, width int)
	swigluBack func(ggu, gy, gu []T, width int)
	rotate     func(y, x, r []T, blocks int, inverse bool)
	rotateGrad func(gr, x, gy []T, rows, cols, from, to int)
	// softmaxNLL replaces logits by scale*(softmax - onehot) when grad is set, and returns -log p(target).
	softmaxNLL func(logits []T, target int, scale T, grad bool) float64
	// secondDifference returns the sum of |d2|² of one segment and, when g is not empty, adds its gradient times weight/2.
	secondDifference func(g, h []T, rows, cols int, weight T) float64
	sumSquares       func(x []T) float64
	adamW            func(p, g, m, v []T, c adamW)
}

// adamW holds one step's constants.
type adamW struct{ gradScale, shrink, beta1, beta2, rate, root2, eps float64 }
