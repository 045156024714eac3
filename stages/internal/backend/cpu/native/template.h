// Included once per instruction set (a .h, because the go command rebuilds when those change), which defines ISA, ISA_NAME, TARGET, VB (bytes of a vector),
// MR and NRV (rows and vectors of gemm's tile).
#include <math.h>
#include <string.h>
#include "kernels.h"

#define VL (VB / 4)
typedef float vf __attribute__((vector_size(VB)));
typedef float vu __attribute__((vector_size(VB), aligned(4), may_alias)); // as it lies in memory
typedef int vi __attribute__((vector_size(VB)));
// UNROLL stands before loops with a literal count, whose arrays must become registers.
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define FN static TARGET
#define INLINE static inline __attribute__((always_inline)) TARGET
#define load(p) ((vf)*(const vu *)(p))
#define store(p, x) (*(vu *)(p) = (x))

// VMIN and VMAX return the second operand when either is NaN, as the x86 instructions do.
#ifndef VMIN
INLINE vf choose(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
#define VMIN(a, b) choose((a) < (b), a, b)
#define VMAX(a, b) choose((a) > (b), a, b)
#endif

#ifndef VSQRT
INLINE vf square_root(vf x)
{
	for (int i = 0; i < VL; i++)
		x[i] = __builtin_sqrtf(x[i]);
	return x;
}
#define VSQRT(x) square_root(x)
#endif

// MADD is what the vector code does for a*b + c: fused where the instruction set has that.
#if defined(__x86_64__) && VB == 16
#define MADD(a, b, c) ((a) * (b) + (c))
#else
#define MADD(a, b, c) __builtin_fmaf(a, b, c)
#endif

INLINE vf splat(float x) { return (vf){0} + x; }

INLINE float sum_lanes(vf x)
{
	float s[VL], t = 0;
	memcpy(s, &x, sizeof s);
	for (int w = VL / 2; w; w /= 2)
		for (int i = 0; i < w; i++)
			s[i] += s[i + w];
	t = s[0];
	return t;
}

#include "gemm.h"
#include "elementwise.h"
#include "dropout.h"
#include "attention.h"
#include "blocks.h"
#include "decoding.h"

const struct kernels ISA(so8t_kernels) = {
	ISA_NAME, NRV * VL, ISA(gemm), ISA(gemm_stored), ISA(few_rows), ISA(axpby), ISA(dropout), ISA(rmsnorm), ISA(rmsnorm_back), ISA(gain_back), ISA(rope), ISA(attend), ISA(attend_back),
	ISA(swiglu), ISA(swiglu_back), ISA(rotate), ISA(rotate_grad), ISA(softmax_nll), ISA(sum_squares), ISA(second_difference), ISA(adamw),
	ISA(decode), ISA(few_rows_stored), ISA(attend_row),
};
