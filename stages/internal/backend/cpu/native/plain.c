// 16-byte vectors: SSE2 on amd64, NEON on arm64, whatever the compiler makes of it elsewhere.
#define ISA(name) name##_plain
#if defined(__aarch64__)
#define ISA_NAME "neon"
#include <arm_neon.h>
#define VSQRT(x) ((vf)vsqrtq_f32((float32x4_t)(x)))
#define MR 8
#define NRV 3
#else
#define ISA_NAME "c"
#if defined(__x86_64__)
#include <xmmintrin.h>
#define VMIN(a, b) ((vf)_mm_min_ps(a, b))
#define VMAX(a, b) ((vf)_mm_max_ps(a, b))
#define VSQRT(x) ((vf)_mm_sqrt_ps(x))
#endif
#define MR 4
#define NRV 2
#endif
#define TARGET
#define VB 16
#include "template.h"
