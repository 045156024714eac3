/* Calls into libcuda.so.1 and libcublas, resolved with dlopen. No CUDA header is used: the
 * signatures below are the driver API's ABI (names with _v2 are the 64-bit entry points).
 * No logic lives here beyond finding symbols and forwarding. */
#ifndef SO8T_CUDA_SHIM_H
#define SO8T_CUDA_SHIM_H

#include <stddef.h>

typedef struct {
	char name[256];
	int major, minor, driver;
	size_t memory;
	void *context; /* the device's primary context, retained */
	int device;
} so8t_device;

/* Each returns 0, or writes a message of at most n bytes and returns non-zero. A library stays
 * loaded for the life of the process. */
int so8t_cuda_load(const char *path, char *message, size_t n);
int so8t_cublas_load(const char *path, char *message, size_t n);
int so8t_cuda_open(int index, so8t_device *out, char *message, size_t n);
int so8t_cuda_memory(so8t_device *d, size_t *free_bytes, size_t *total, char *message, size_t n);
void so8t_cuda_close(so8t_device *d);

#endif
