//go:build cgo

// Package native calls the kernels in C. They are compiled for several instruction sets; Find chooses at run time.
package native

/*
#cgo CFLAGS: -O3 -Wall -Wno-psabi -Wno-unknown-pragmas
#cgo linux LDFLAGS: -lm
#include "kernels.h"

static int supports(int which)
{
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (which == 1)
		return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	if (which == 2)
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
#endif
	return which == 0;
}

static const struct kernels *table(int which)
{
	if (!supports(which))
		return 0;
#if defined(__x86_64__)
	if (which == 1)
		return &so8t_kernels_avx2;
	if (which == 2)
		return &so8t_kernels_avx512;
#endif
	return &so8t_kernels_plain;
}

static void k_gemm(const struct kernels *k, len m, len n, len kk, float alpha, const float *a, len ars, len acs, const float *b, len brs, len bcs, float beta, float *c, len ldc)
{ k->gemm(m, n, kk, alpha, a, ars, acs, b, brs, bcs, beta, c, ldc); }
static void k_gemm_stored(const struct kernels *k, len m, len n, len kk, const float *a, len ars, int kind, const void *b, const float *scales, len brs, len bcs, float beta, float *c, len ldc)
{ k->gemm_stored(m, n, kk, a, ars, kind, b, scales, brs, bcs, beta, c, ldc); }
static void k_few_rows(const struct kernels *k, len m, len n, len kk, float alpha, const float *a, len ars, const float *b, len bcs, float beta, float *c, len ldc)
{ k->few_rows(m, n, kk, alpha, a, ars, b, bcs, beta, c, ldc); }
static void k_axpby(const struct kernels *k, float *dst, float alpha, const float *x, float beta, const float *y, len n)
{ k->axpby(dst, alpha, x, beta, y, n); }
static void k_dropout(const struct kernels *k, float *d, const float *x, len rows, len cols, unsigned long long key, unsigned long long id, unsigned threshold, float keep, float beta)
{ k->dropout(d, x, rows, cols, key, id, threshold, keep, beta); }
static void k_rmsnorm(const struct kernels *k, float *y, float *inv, const float *x, const float *gain, len rows, len cols, float eps)
{ k->rmsnorm(y, inv, x, gain, rows, cols, eps); }
static void k_rmsnorm_back(const struct kernels *k, float *gx, const float *gy, const float *x, const float *gain, const float *inv, len rows, len cols, float beta)
{ k->rmsnorm_back(gx, gy, x, gain, inv, rows, cols, beta); }
static void k_gain_back(const struct kernels *k, float *gg, const float *gy, const float *x, const float *inv, len rows, len cols, len from, len to, float beta)
{ k->gain_back(gg, gy, x, inv, rows, cols, from, to, beta); }
static void k_rope(const struct kernels *k, float *dst, const float *src, const int *pos, const float *cos, const float *sin, len rows, len width, len turned, len dim, len rotary, int inverse)
{ k->rope(dst, src, pos, cos, sin, rows, width, turned, dim, rotary, inverse); }
static void k_attend(const struct kernels *k, const float *q, const float *kk, const float *v, float *out, float *lse, len ld, len ldo, len ldl, len rows, len dim, len group, len window, float scale)
{ struct heads h = {q, kk, v, 0, out, lse, 0, 0, 0, ld, ldo, ldl, rows, dim, group, window, scale}; k->attend(&h); }
static void k_attend_back(const struct kernels *k, const float *q, const float *kk, const float *v, const float *gout, const float *out, const float *lse, float *gq, float *gk, float *gv, len ld, len ldo, len ldl, len rows, len dim, len group, len window, float scale)
{ struct heads h = {q, kk, v, gout, (float *)out, (float *)lse, gq, gk, gv, ld, ldo, ldl, rows, dim, group, window, scale}; k->attend_back(&h); }
static void k_swiglu(const struct kernels *k, float *y, const float *gu, len rows, len width) { k->swiglu(y, gu, rows, width); }
static void k_swiglu_back(const struct kernels *k, float *ggu, const float *gy, const float *gu, len rows, len width) { k->swiglu_back(ggu, gy, gu, rows, width); }
static void k_rotate(const struct kernels *k, float *y, const float *x, const float *r, len rows, len blocks, int inverse) { k->rotate(y, x, r, rows, blocks, inverse); }
static void k_rotate_grad(const struct kernels *k, float *gr, const float *x, const float *gy, len rows, len cols, len from, len to) { k->rotate_grad(gr, x, gy, rows, cols, from, to); }
static double k_softmax_nll(const struct kernels *k, float *x, len n, len target, float scale, int grad) { return k->softmax_nll(x, n, target, scale, grad); }
static double k_sum_squares(const struct kernels *k, const float *x, len n) { return k->sum_squares(x, n); }
static double k_second_difference(const struct kernels *k, float *g, const float *h, len rows, len cols, float weight) { return k->second_difference(g, h, rows, cols, weight); }
static void k_adamw(const struct kernels *k, float *p, const float *g, float *m, float *v, len n, struct adamw c) { k->adamw(p, g, m, v, n, &c); }

#cgo noescape k_gemm
#cgo nocallback k_gemm
#cgo noescape k_gemm_stored
#cgo nocallback k_gemm_stored
#cgo noescape k_few_rows
#cgo nocallback k_few_rows
#cgo noescape k_axpby
#cgo nocallback k_axpby
#cgo noescape k_rmsnorm
#cgo nocallback k_rmsnorm
#cgo noescape k_rmsnorm_back
#cgo nocallback k_rmsnorm_back
#cgo noescape k_attend
#cgo nocallback k_attend
#cgo noescape k_attend_back
#cgo nocallback k_attend_back
#cgo noescape k_softmax_nll
#cgo nocallback k_softmax_nll
*/
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"
)

// Table is the kernels of one instruction set.
type Table struct{ k *C.struct_kernels }

// Find returns the kernels called want, or the best that the processor has.
func Find(want string) (Table, error) {
	for _, which := range []C.int{2, 1, 0} {
		k := C.table(which)
		if k == nil {
			continue
		}
		if t := (Table{k}); want == "" || t.Name() == want {
			return t, nil
		}
	}
	return Table{}, fmt.Errorf("kernels %q: this processor (%s) does not have them", want, runtime.GOARCH)
}

// Name is the instruction set's.
func (t Table) Name() string { return C.GoString(t.k.name) }

// Panel is the number of columns of one tile of Gemm.
func (t Table) Panel() int { return int(t.k.panel) }

func ptr(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

type n = C.len

// Gemm is C = alpha A B + beta C; one stride of each of A and B must be 1.
func (t Table) Gemm(m, cols, k int, alpha float32, a []float32, ars, acs int, b []float32, brs, bcs int, beta float32, c []float32, ldc int) {
	C.k_gemm(t.k, n(m), n(cols), n(k), C.float(alpha), ptr(a), n(ars), n(acs), ptr(b), n(brs), n(bcs), C.float(beta), ptr(c), n(ldc))
}

// GemmBF16 is C = A B + beta C with the columns of A side by side and B in bfloat16.
func (t Table) GemmBF16(m, cols, k int, a []float32, ars int, b []uint16, brs, bcs int, beta float32, c []float32, ldc int) {
	C.k_gemm_stored(t.k, n(m), n(cols), n(k), ptr(a), n(ars), C.SO8T_BRAIN, unsafe.Pointer(unsafe.SliceData(b)), nil, n(brs), n(bcs), C.float(beta), ptr(c), n(ldc))
}

// GemmInt8 is the same with B in codes whose stored rows have scales: those are B's columns when bcs is not 1, else its rows.
func (t Table) GemmInt8(m, cols, k int, a []float32, ars int, b []int8, scales []float32, brs, bcs int, beta float32, c []float32, ldc int) {
	C.k_gemm_stored(t.k, n(m), n(cols), n(k), ptr(a), n(ars), C.SO8T_CODES, unsafe.Pointer(unsafe.SliceData(b)), ptr(scales), n(brs), n(bcs), C.float(beta), ptr(c), n(ldc))
}

// Few is the largest number of rows that FewRows takes.
const Few = C.SO8T_FEW

// FewRows is C = alpha A Bᵀ + beta C for at most Few rows of A; rows of A are ars and those of B bcs apart.
func (t Table) FewRows(m, cols, k int, alpha float32, a []float32, ars int, b []float32, bcs int, beta float32, c []float32, ldc int) {
	C.k_few_rows(t.k, n(m), n(cols), n(k), C.float(alpha), ptr(a), n(ars), ptr(b), n(bcs), C.float(beta), ptr(c), n(ldc))
}

// Axpby is dst = alpha x + beta y; y may be nil.
func (t Table) Axpby(dst []float32, alpha float32, x []float32, beta float32, y []float32) {
	C.k_axpby(t.k, ptr(dst), C.float(alpha), ptr(x), C.float(beta), ptr(y), n(len(dst)))
}

// Dropout works on the rows of one segment.
func (t Table) Dropout(d, x []float32, cols int, key, id uint64, threshold uint32, keep, beta float32) {
	C.k_dropout(t.k, ptr(d), ptr(x), n(len(x)/cols), n(cols), C.ulonglong(key), C.ulonglong(id), C.uint(threshold), C.float(keep), C.float(beta))
}

// RMSNorm works on len(inv) rows.
func (t Table) RMSNorm(y, inv, x, gain []float32, cols int, eps float32) {
	C.k_rmsnorm(t.k, ptr(y), ptr(inv), ptr(x), ptr(gain), n(len(inv)), n(cols), C.float(eps))
}

// RMSNormBack works on len(inv) rows.
func (t Table) RMSNormBack(gx, gy, x, gain, inv []float32, cols int, beta float32) {
	C.k_rmsnorm_back(t.k, ptr(gx), ptr(gy), ptr(x), ptr(gain), ptr(inv), n(len(inv)), n(cols), C.float(beta))
}

// GainBack sums over rows for columns [from, to).
func (t Table) GainBack(ggain, gy, x, inv []float32, cols, from, to int, beta float32) {
	C.k_gain_back(t.k, ptr(ggain), ptr(gy), ptr(x), ptr(inv), n(len(inv)), n(cols), n(from), n(to), C.float(beta))
}

// Rope turns the first turned heads of rows of width numbers.
func (t Table) Rope(dst, src []float32, positions []int32, cos, sin []float32, width, turned, dim, rotary int, inverse bool) {
	C.k_rope(t.k, ptr(dst), ptr(src), (*C.int)(unsafe.SliceData(positions)), ptr(cos), ptr(sin), n(len(positions)), n(width), n(turned), n(dim), n(rotary), flag(inverse))
}

// Heads is one unit of attention; see the C header.
type Heads struct {
	Q, K, V, Gout, Out, Lse, GQ, GK, GV    []float32
	LD, LDO, LDL, Rows, Dim, Group, Window int
	Scale                                  float32
}

// Attend writes Out and Lse.
func (t Table) Attend(h *Heads) {
	C.k_attend(t.k, ptr(h.Q), ptr(h.K), ptr(h.V), ptr(h.Out), ptr(h.Lse), n(h.LD), n(h.LDO), n(h.LDL), n(h.Rows), n(h.Dim), n(h.Group), n(h.Window), C.float(h.Scale))
}

// AttendBack writes GQ, GK and GV.
func (t Table) AttendBack(h *Heads) {
	C.k_attend_back(t.k, ptr(h.Q), ptr(h.K), ptr(h.V), ptr(h.Gout), ptr(h.Out), ptr(h.Lse), ptr(h.GQ), ptr(h.GK), ptr(h.GV),
		n(h.LD), n(h.LDO), n(h.LDL), n(h.Rows), n(h.Dim), n(h.Group), n(h.Window), C.float(h.Scale))
}

// SwiGLU works on len(y)/width rows.
func (t Table) SwiGLU(y, gu []float32, width int) {
	C.k_swiglu(t.k, ptr(y), ptr(gu), n(len(y)/width), n(width))
}

// SwiGLUBack works on len(gy)/width rows.
func (t Table) SwiGLUBack(ggu, gy, gu []float32, width int) {
	C.k_swiglu_back(t.k, ptr(ggu), ptr(gy), ptr(gu), n(len(gy)/width), n(width))
}

// Rotate multiplies rows by a block-diagonal matrix, or its transpose.
func (t Table) Rotate(y, x, r []float32, blocks int, inverse bool) {
	C.k_rotate(t.k, ptr(y), ptr(x), ptr(r), n(len(x)/(8*blocks)), n(blocks), flag(inverse))
}

// RotateGrad sums outer products for blocks [from, to).
func (t Table) RotateGrad(gr, x, gy []float32, rows, cols, from, to int) {
	C.k_rotate_grad(t.k, ptr(gr), ptr(x), ptr(gy), n(rows), n(cols), n(from), n(to))
}

// SoftmaxNLL returns -log softmax(logits)[target] and, with grad, leaves scale*(softmax - onehot).
func (t Table) SoftmaxNLL(logits []float32, target int, scale float32, grad bool) float64 {
	return float64(C.k_softmax_nll(t.k, ptr(logits), n(len(logits)), n(target), C.float(scale), flag(grad)))
}

// SumSquares adds in float64.
func (t Table) SumSquares(x []float32) float64 {
	return float64(C.k_sum_squares(t.k, ptr(x), n(len(x))))
}

// SecondDifference returns sum |d2|² and adds weight*(d2, -2 d2, d2) to g when that is not empty.
func (t Table) SecondDifference(g, h []float32, rows, cols int, weight float32) float64 {
	return float64(C.k_second_difference(t.k, ptr(g), ptr(h), n(rows), n(cols), C.float(weight)))
}

// AdamW holds a step's constants.
type AdamW struct{ GradScale, Shrink, Beta1, Beta2, New1, New2, Rate, InvRoot2, Eps float32 }

// AdamW updates p, m and v in place.
func (t Table) AdamW(p, g, m, v []float32, c AdamW) {
	C.k_adamw(t.k, ptr(p), ptr(g), ptr(m), ptr(v), n(len(p)), C.struct_adamw{
		grad_scale: C.float(c.GradScale), shrink: C.float(c.Shrink), beta1: C.float(c.Beta1), beta2: C.float(c.Beta2),
		new1: C.float(c.New1), new2: C.float(c.New2), rate: C.float(c.Rate), inv_root2: C.float(c.InvRoot2), eps: C.float(c.Eps),
	})
}
