#include "shim.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* One line per entry point: name, signature. */
#define DRIVER_SYMBOLS(X)                                                                      \
	X(cuInit, int, (unsigned))                                                             \
	X(cuDriverGetVersion, int, (int *))                                                    \
	X(cuDeviceGetCount, int, (int *))                                                      \
	X(cuDeviceGet, int, (int *, int))                                                      \
	X(cuDeviceGetName, int, (char *, int, int))                                            \
	X(cuDeviceGetAttribute, int, (int *, int, int))                                        \
	X(cuDeviceTotalMem_v2, int, (size_t *, int))                                           \
	X(cuMemGetInfo_v2, int, (size_t *, size_t *))                                          \
	X(cuDevicePrimaryCtxRetain, int, (void **, int))                                       \
	X(cuDevicePrimaryCtxRelease_v2, int, (int))                                            \
	X(cuCtxSetCurrent, int, (void *))                                                      \
	X(cuGetErrorName, int, (int, const char **))

#define BLAS_SYMBOLS(X)                                                                        \
	X(cublasCreate_v2, int, (void **))                                                     \
	X(cublasDestroy_v2, int, (void *))                                                     \
	X(cublasSetStream_v2, int, (void *, void *))                                           \
	X(cublasSetWorkspace_v2, int, (void *, void *, size_t))                                \
	X(cublasSgemm_v2, int,                                                                 \
	  (void *, int, int, int, int, int, const float *, const float *, int, const float *,  \
	   int, const float *, float *, int))                                                  \
	X(cublasGemmEx, int,                                                                   \
	  (void *, int, int, int, int, int, const void *, const void *, int, int, const void *,\
	   int, int, const void *, void *, int, int, int, int))

#define FIELD(name, ret, args) ret(*name) args;
static struct {
	DRIVER_SYMBOLS(FIELD)
} driver;
static struct {
	BLAS_SYMBOLS(FIELD)
} blas;

enum { COMPUTE_CAPABILITY_MAJOR = 75, COMPUTE_CAPABILITY_MINOR = 76 };

static int say(char *message, size_t n, const char *what, const char *detail) {
	snprintf(message, n, "%s%s%s", what, detail && *detail ? ": " : "", detail ? detail : "");
	return 1;
}

static void *load(const char *path, char *message, size_t n) {
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		const char *e = dlerror();
		say(message, n, e ? e : path, "");
	}
	return lib;
}

#define RESOLVE(table, name)                                                                   \
	*(void **)&table.name = dlsym(lib, #name);                                             \
	if (!table.name && !missing) missing = #name;

int so8t_cuda_load(const char *path, char *message, size_t n) {
	const char *missing = NULL;
	void *lib = load(path, message, n);
	if (!lib) return 1;
#define X(name, ret, args) RESOLVE(driver, name)
	DRIVER_SYMBOLS(X)
#undef X
	if (missing) {
		memset(&driver, 0, sizeof driver);
		return say(message, n, path, missing);
	}
	return 0;
}

int so8t_cublas_load(const char *path, char *message, size_t n) {
	const char *missing = NULL;
	void *lib = load(path, message, n);
	if (!lib) return 1;
#define X(name, ret, args) RESOLVE(blas, name)
	BLAS_SYMBOLS(X)
#undef X
	if (missing) {
		memset(&blas, 0, sizeof blas);
		return say(message, n, path, missing);
	}
	return 0;
}

static int status(int code, const char *call, char *message, size_t n) {
	const char *name = NULL;
	if (code == 0) return 0;
	if (driver.cuGetErrorName(code, &name) != 0 || !name) name = "unknown error";
	snprintf(message, n, "%s -> %d %s", call, code, name);
	return code;
}

#define TRY(call, args)                                                                        \
	if (status(driver.call args, #call, message, n)) return 1;

int so8t_cuda_open(int index, so8t_device *d, char *message, size_t n) {
	int count = 0;
	memset(d, 0, sizeof *d);
	TRY(cuInit, (0));
	TRY(cuDriverGetVersion, (&d->driver));
	TRY(cuDeviceGetCount, (&count));
	if (index >= count) {
		snprintf(message, n, "no device %d (the driver sees %d)", index, count);
		return 1;
	}
	TRY(cuDeviceGet, (&d->device, index));
	TRY(cuDeviceGetName, (d->name, (int)sizeof d->name, d->device));
	TRY(cuDeviceGetAttribute, (&d->major, COMPUTE_CAPABILITY_MAJOR, d->device));
	TRY(cuDeviceGetAttribute, (&d->minor, COMPUTE_CAPABILITY_MINOR, d->device));
	TRY(cuDeviceTotalMem_v2, (&d->memory, d->device));
	TRY(cuDevicePrimaryCtxRetain, (&d->context, d->device));
	return 0;
}

int so8t_cuda_memory(so8t_device *d, size_t *free_bytes, size_t *total, char *message, size_t n) {
	TRY(cuCtxSetCurrent, (d->context)); /* a context is bound to a thread: bind on each entry */
	TRY(cuMemGetInfo_v2, (free_bytes, total));
	return 0;
}

void so8t_cuda_close(so8t_device *d) {
	if (d->context) driver.cuDevicePrimaryCtxRelease_v2(d->device);
	d->context = NULL;
}
