// 16-byte vectors: SSE2 on amd64, NEON on arm64, whatever the compiler makes of it elsewhere.
#define ISA(name) name##_plain
#if defined(__aarch64__)
#define ISA_NAME "neon"
#define MR 8
#define NRV 3
#else
#define ISA_NAME "c"
#define MR 4
#define NRV 2
#endif
#define TARGET
#define VB 16
#include "kernels.inc"
