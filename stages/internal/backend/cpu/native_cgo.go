//go:build cgo

package cpu

import (
	"errors"
	"fmt"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu/native"
)

// nativeKernels replaces the table's entries by the C kernels called want, or the best that the processor has.
func nativeKernels(k *kernels[float32], want string) (string, error) {
	t, err := native.Find(want)
	if err != nil {
		return "", err
	}
	k.panel = t.Panel()
	k.gemm = func(m, n, kk int, alpha float32, a, b matrix[float32], beta float32, c []float32, ldc int) {
		t.Gemm(m, n, kk, alpha, a.data, a.rs, a.cs, b.data, b.rs, b.cs, beta, c, ldc)
	}
	k.gemmStored = func(m, n, kk int, a matrix[float32], w part[float32], beta float32, c []float32, ldc int) {
		switch brs, bcs := w.strides(); w.kind {
		case backend.BFloat16:
			t.GemmBF16(m, n, kk, a.data, a.rs, w.bf16[w.row*w.cols+w.col:], brs, bcs, beta, c, ldc)
		case backend.Int8:
			t.GemmInt8(m, n, kk, a.data, a.rs, w.int8[w.row*w.cols+w.col:], w.scales[w.row:], brs, bcs, beta, c, ldc)
		}
	}
	k.few = native.Few
	k.fewRows = func(m, n, kk int, alpha float32, a, b matrix[float32], beta float32, c []float32, ldc int) {
		t.FewRows(m, n, kk, alpha, a.data, a.rs, b.data, b.cs, beta, c, ldc)
	}
	k.axpby, k.dropout, k.rmsNorm, k.rmsNormBack, k.gainBack = t.Axpby, t.Dropout, t.RMSNorm, t.RMSNormBack, t.GainBack
	k.swiglu, k.swigluBack, k.rotate, k.rotateGrad = t.SwiGLU, t.SwiGLUBack, t.Rotate, t.RotateGrad
	k.softmaxNLL, k.sumSquares, k.secondDifference = t.SoftmaxNLL, t.SumSquares, t.SecondDifference
	k.rope = func(dst, src []float32, positions []int32, cos, sin []float32, s backend.AttentionShape, rotary int, inverse bool) {
		t.Rope(dst, src, positions, cos, sin, s.Width(), s.Heads+s.KVHeads, s.Dim, rotary, inverse)
	}
	k.attend = func(h *heads[float32]) { u := nativeHeads(h); t.Attend(&u) }
	k.attendBack = func(h *heads[float32]) { u := nativeHeads(h); t.AttendBack(&u) }
	k.reader = func(f backend.BlockFormat) blockReader[float32] { return nativeReader(t, f) }
	k.attendRow = func(out, q, kk, v []float32, ld, at, window int, scale float32, scores []float32) {
		from := 0
		if window > 0 {
			from = max(0, at-window+1)
		}
		t.AttendRow(out, q, kk[from*ld:], v[from*ld:], ld, at+1-from, scale, scores)
	}
	k.adamW = func(p, g, m, v []float32, c adamW) {
		t.AdamW(p, g, m, v, native.AdamW{
			GradScale: float32(c.gradScale), Shrink: float32(c.shrink), Beta1: float32(c.beta1), Beta2: float32(c.beta2),
			New1: float32(1 - c.beta1), New2: float32(1 - c.beta2), Rate: float32(c.rate), InvRoot2: float32(1 / c.root2), Eps: float32(c.eps),
		})
	}
	return t.Name(), nil
}

func nativeHeads(h *heads[float32]) native.Heads {
	return native.Heads{
		Q: h.q, K: h.k, V: h.v, Gout: h.gout, Out: h.out, Lse: h.lse, GQ: h.gq, GK: h.gk, GV: h.gv,
		LD: h.ld, LDO: h.ldo, LDL: h.ldl, Rows: h.rows, Dim: h.dim, Group: h.group, Window: h.window, Scale: h.scale,
	}
}

// nativeReader reads what the kernels know; the rest is decoded in Go.
func nativeReader(t native.Table, f backend.BlockFormat) blockReader[float32] {
	format, ok := native.FormatOf(f.Name)
	if !ok {
		return goReader[float32](f)
	}
	return blockReader[float32]{
		decode: func(dst []float32, src []byte) { t.Decode(format, dst, src) },
		fewRows: func(m, n, k int, a []float32, b []byte, size int, beta float32, c []float32, ldc int) {
			t.FewRowsStored(m, n, k, a, k, format, b, size, beta, c, ldc)
		},
	}
}

type library struct {
	path, version string
	gemm          gemmFunc[float32]
}

// openBLAS loads the library at path. "auto" searches the usual names and fails when there is none; "" does so and returns nil.
func openBLAS(path string) (*library, error) {
	if path != "" && path != "auto" {
		b, err := native.OpenBLAS(path)
		if err != nil {
			return nil, fmt.Errorf("opening BLAS %q: %w", path, err)
		}
		return newLibrary(b), nil
	}
	for _, name := range native.Names {
		if b, err := native.OpenBLAS(name); err == nil {
			return newLibrary(b), nil
		}
	}
	if path == "auto" {
		return nil, errors.New("opening BLAS: no library of the usual names is installed")
	}
	return nil, nil
}

func newLibrary(b *native.BLAS) *library {
	return &library{path: b.Path, version: b.Version, gemm: func(m, n, k int, alpha float32, x, y matrix[float32], beta float32, c []float32, ldc int) {
		// A single stored row may come with any distance to the next; the library insists on one that fits.
		ta, lda := x.cs != 1, max(x.rs, x.cs, k)
		tb, ldb := y.cs != 1, max(y.rs, y.cs, n)
		if ta {
			lda = max(x.cs, m)
		}
		if tb {
			ldb = max(y.rs, y.cs, k)
		}
		if k == 0 {
			for i := range m {
				goScale(c[i*ldc:i*ldc+n], beta)
			}
			return
		}
		b.Gemm(ta, tb, m, n, k, alpha, x.data, lda, y.data, ldb, beta, c, ldc)
	}}
}
