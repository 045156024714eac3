#if defined(__x86_64__)
#define ISA(name) name##_avx2
#define ISA_NAME "avx2"
#define TARGET __attribute__((target("avx2,fma")))
#include <immintrin.h>
#define VMIN(a, b) _mm256_min_ps(a, b)
#define VMAX(a, b) _mm256_max_ps(a, b)
#define VSQRT(x) ((vf)_mm256_sqrt_ps(x))
#define VB 32
#define MR 6
#define NRV 2
#include "template.h"
#endif
