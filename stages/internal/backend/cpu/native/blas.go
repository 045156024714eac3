//go:build cgo && !windows

package native

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

typedef void (*sgemm_fn)(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
typedef void (*threads_fn)(int);
typedef char *(*config_fn)(void);

static void *blas_open(const char *path) { return dlopen(path, RTLD_NOW | RTLD_LOCAL); }
static const char *blas_error(void) { const char *e = dlerror(); return e ? e : ""; }
static void blas_threads(void *f, int n) { ((threads_fn)f)(n); }
static char *blas_config(void *f) { return ((config_fn)f)(); }

// 101 row-major, 111 as it is, 112 transposed
static void blas_sgemm(void *f, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc)
{ ((sgemm_fn)f)(101, ta ? 112 : 111, tb ? 112 : 111, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc); }

#cgo noescape blas_sgemm
#cgo nocallback blas_sgemm
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// BLAS is a library that was found at run time.
type BLAS struct {
	Path, Version string
	sgemm         unsafe.Pointer
}

// Names are tried in turn when no path is given.
var Names = []string{"libopenblas.so.0", "libopenblas.so", "libopenblasp.so.0", "libopenblas.dylib", "/opt/homebrew/opt/openblas/lib/libopenblas.dylib"}

// OpenBLAS loads a library and keeps it to one thread.
func OpenBLAS(path string) (*BLAS, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	h := C.blas_open(name)
	if h == nil {
		return nil, errors.New(C.GoString(C.blas_error()))
	}
	b := &BLAS{Path: path, sgemm: symbol(h, "cblas_sgemm")}
	if b.sgemm == nil {
		return nil, fmt.Errorf("%s has no cblas_sgemm", path)
	}
	for _, name := range []string{"openblas_set_num_threads", "MKL_Set_Num_Threads"} {
		if f := symbol(h, name); f != nil {
			C.blas_threads(f, 1)
		}
	}
	if f := symbol(h, "openblas_get_config"); f != nil {
		b.Version = C.GoString(C.blas_config(f))
	}
	return b, nil
}

func symbol(h unsafe.Pointer, name string) unsafe.Pointer {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	return C.dlsym(h, s)
}

// Gemm is C = alpha op(A) op(B) + beta C in row-major order; sizes must fit int32.
func (b *BLAS) Gemm(ta, tb bool, m, cols, k int, alpha float32, a []float32, lda int, bb []float32, ldb int, beta float32, c []float32, ldc int) {
	if max(m, cols, k, lda, ldb, ldc) > math.MaxInt32 {
		panic("matrix too large for BLAS")
	}
	i := func(v int) C.int { return C.int(v) }
	C.blas_sgemm(b.sgemm, flag(ta), flag(tb), i(m), i(cols), i(k), C.float(alpha), ptr(a), i(lda), ptr(bb), i(ldb), C.float(beta), ptr(c), i(ldc))
}
