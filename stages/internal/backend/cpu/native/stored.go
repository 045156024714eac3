//go:build cgo

package native

/*
#include "kernels.h"

static void k_decode(const struct kernels *k, int format, float *dst, const unsigned char *src, len n) { k->decode(format, dst, src, n); }
static void k_few_rows_stored(const struct kernels *k, len m, len n, len kk, const float *a, len ars, int format, const unsigned char *b, len bytes, float beta, float *c, len ldc)
{ k->few_rows_stored(m, n, kk, a, ars, format, b, bytes, beta, c, ldc); }
static void k_attend_row(const struct kernels *k, float *out, const float *q, const float *kk, const float *v, len ld, len n, len dim, float scale, float *scores)
{ k->attend_row(out, q, kk, v, ld, n, dim, scale, scores); }

#cgo noescape k_decode
#cgo nocallback k_decode
#cgo noescape k_few_rows_stored
#cgo nocallback k_few_rows_stored
#cgo noescape k_attend_row
#cgo nocallback k_attend_row
*/
import "C"

import "unsafe"

// Format is a block format that the kernels read.
type Format C.int

// FormatOf finds a format by its name in GGUF; false when the kernels do not read it.
func FormatOf(name string) (Format, bool) {
	f, ok := map[string]Format{
		"F16": C.SO8T_F16, "BF16": C.SO8T_BF16, "Q8_0": C.SO8T_Q8_0, "Q4_K": C.SO8T_Q4_K, "Q5_K": C.SO8T_Q5_K, "Q6_K": C.SO8T_Q6_K,
	}[name]
	return f, ok
}

func bytePtr(b []byte) *C.uchar { return (*C.uchar)(unsafe.Pointer(unsafe.SliceData(b))) }

// Decode writes len(dst) numbers, whole blocks.
func (t Table) Decode(f Format, dst []float32, src []byte) {
	C.k_decode(t.k, C.int(f), ptr(dst), bytePtr(src), n(len(dst)))
}

// FewRowsStored is C = A Bᵀ + beta C for at most Few rows of A, ars apart; rows of B are size bytes each.
func (t Table) FewRowsStored(m, cols, k int, a []float32, ars int, f Format, b []byte, size int, beta float32, c []float32, ldc int) {
	C.k_few_rows_stored(t.k, n(m), n(cols), n(k), ptr(a), n(ars), C.int(f), bytePtr(b), n(size), C.float(beta), ptr(c), n(ldc))
}

// AttendRow is one query over keys and values whose rows are ld apart; scores has room for the next multiple of 16.
func (t Table) AttendRow(out, q, k, v []float32, ld, keys int, scale float32, scores []float32) {
	C.k_attend_row(t.k, ptr(out), ptr(q), ptr(k), ptr(v), n(ld), n(keys), n(len(q)), C.float(scale), ptr(scores))
}
