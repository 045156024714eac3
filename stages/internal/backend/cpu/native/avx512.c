#if defined(__x86_64__)
#define ISA(name) name##_avx512
#define ISA_NAME "avx512"
#define TARGET __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")))
#include <immintrin.h>
#define VMIN(a, b) _mm512_min_ps(a, b)
#define VMAX(a, b) _mm512_max_ps(a, b)
#define VSQRT(x) ((vf)_mm512_sqrt_ps(x))
#define VB 64
#define MR 14
#define NRV 2
#include "template.h"
#endif
