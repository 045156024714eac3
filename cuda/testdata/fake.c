/* Stands in for libcuda and libcublas in tests: one device, fixed figures. With FAKE_NO_DEVICE
 * cuInit fails as the real driver does on a machine without a GPU. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
int cuInit(unsigned f) { return getenv("FAKE_NO_DEVICE") ? 100 : 0; }
int cuDriverGetVersion(int *v) { *v = 12040; return 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, "Fake 3060", n); return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : 6; return 0; }
int cuDeviceTotalMem_v2(size_t *n, int d) { *n = (size_t)12 << 30; return 0; }
int cuMemGetInfo_v2(size_t *f, size_t *t) { *f = (size_t)11 << 30; *t = (size_t)12 << 30; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { static int context; *c = &context; return 0; }
int cuDevicePrimaryCtxRelease_v2(int d) { return 0; }
int cuCtxSetCurrent(void *c) { return 0; }
int cuGetErrorName(int code, const char **s) { *s = code == 100 ? "CUDA_ERROR_NO_DEVICE" : "?"; return 0; }
#ifndef INCOMPLETE
int cublasCreate_v2(void **h) { *h = 0; return 0; }
#endif
int cublasDestroy_v2(void *h) { return 0; }
int cublasSetStream_v2(void *h, void *s) { return 0; }
int cublasSetWorkspace_v2(void *h, void *p, size_t n) { return 0; }
int cublasSgemm_v2(void) { return 0; }
int cublasGemmEx(void) { return 0; }
