// Stands in for libcuda and libcublas in tests: one card, whose memory is the host's and whose kernels are the real ones, compiled for the
// host. FAKE_FAIL="call:n:code" makes the n-th call of that name fail, FAKE_MEMORY is the card's memory in bytes, FAKE_CAPABILITY its compute
// capability (86), FAKE_DRIVER the driver's version (12040).
#include "host.h"
#include "../kernels/kernels.cu"
#include <mutex>
#include <utility>

namespace {

std::mutex one_at_a_time; // fibres and shared memory exist once

long number(const char *name, long otherwise)
{
	const char *s = getenv(name);
	return s && *s ? atol(s) : otherwise;
}

// failure is the code that this call should return.
int failure(const char *call)
{
	static char name[64];
	static int at, code, calls;
	static bool read;
	if (!read) {
		const char *s = getenv("FAKE_FAIL");
		if (!s || sscanf(s, "%63[^:]:%d:%d", name, &at, &code) != 3)
			name[0] = 0;
		read = true;
	}
	return !strcmp(call, name) && ++calls == at ? code : 0;
}

#define FAKE(call) if (int code = failure(#call)) return code

struct kernel {
	const char *name;
	int parameters;
	void (*call)(void **);
};

template <class... A, size_t... I> void unpack(void (*f)(A...), void **p, std::index_sequence<I...>) { f(*(A *)p[I]...); }
template <class... A> void unpack(void (*f)(A...), void **p) { unpack(f, p, std::index_sequence_for<A...>{}); }
template <class... A> constexpr int count(void (*)(A...)) { return sizeof...(A); }

#define K(f) {#f, count(f), [](void **p) { unpack(f, p); }},
#define ATTEND(of) K(attend_##of) K(attend_back_q_##of) K(attend_back_kv_##of)
const kernel kernels[] = {
	K(fill) K(axpby) K(scale_by) K(copy_2d) K(scale_2d) K(to_bf16) K(gather_rows) K(scatter_rows) K(dropout)
	K(widen_f32) K(widen_bf16) K(embed) K(embed_back) K(rms_norm) K(rms_norm_back) K(rms_norm_gain_back) K(rope)
	K(swiglu) K(swiglu_back) K(cayley) K(cayley_back) K(rotate) K(rotate_grad) K(attention_delta)
	ATTEND(f32_32) ATTEND(f32_64) ATTEND(f32_128) ATTEND(bf16_32) ATTEND(bf16_64) ATTEND(bf16_128)
	K(softmax_nll) K(sum) K(pet_rows) K(pet_segments) K(pet_back) K(sum_squares) K(add_parts) K(adamw)
};

long allocated;

float element(const void *p, int type, long long i)
{
	if (type == 14)
		return widen(((const bf16 *)p)[i]);
	return ((const float *)p)[i];
}

float tf32(float x) // 10 bits of mantissa
{
	return float_of((bits_of(x) + 0x1000u) & 0xffffe000u);
}

} // namespace

extern "C" {

int cuInit(unsigned) { FAKE(cuInit); return 0; }
int cuDriverGetVersion(int *v) { *v = (int)number("FAKE_DRIVER", 12040); return 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *s, int n, int) { snprintf(s, n, "Fake 3060"); return 0; }
int cuDeviceGetAttribute(int *v, int what, int)
{
	int capability = (int)number("FAKE_CAPABILITY", 86);
	*v = what == 75 ? capability / 10 : what == 76 ? capability % 10 : 101376;
	return 0;
}
int cuDeviceTotalMem_v2(size_t *n, int) { *n = number("FAKE_MEMORY", 1l << 30); return 0; }
int cuMemGetInfo_v2(size_t *free, size_t *total)
{
	*total = number("FAKE_MEMORY", 1l << 30);
	*free = *total - allocated;
	return 0;
}
int cuDevicePrimaryCtxRetain(void **c, int) { FAKE(cuDevicePrimaryCtxRetain); static int context; *c = &context; return 0; }
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxSetCurrent(void *) { return 0; }
int cuStreamCreate(void **s, unsigned) { static int stream; *s = &stream; return 0; }
int cuStreamDestroy_v2(void *) { return 0; }
int cuStreamSynchronize(void *) { FAKE(cuStreamSynchronize); return 0; }
int cuEventCreate(void **e, unsigned) { *e = malloc(1); return 0; }
int cuEventDestroy_v2(void *e) { free(e); return 0; }
int cuEventRecord(void *, void *) { return 0; }
int cuEventElapsedTime(float *ms, void *, void *) { *ms = 0.25f; return 0; }

// Each block of memory is followed by a guard, so that a kernel that writes beyond its end is found.
enum { GUARD = 64, HEAD = 64 };

int cuMemAlloc_v2(uint64_t *p, size_t n)
{
	FAKE(cuMemAlloc_v2);
	if (allocated + (long)n > number("FAKE_MEMORY", 1l << 30))
		return 2;
	char *at = (char *)malloc(HEAD + n + GUARD);
	memcpy(at, &n, sizeof n);
	memset(at + HEAD, 0xff, n + GUARD); // NaN: what is read before it was written shows
	allocated += n;
	*p = (uint64_t)(at + HEAD);
	return 0;
}
int cuMemFree_v2(uint64_t p)
{
	char *at = (char *)p - HEAD;
	size_t n;
	memcpy(&n, at, sizeof n);
	for (int i = 0; i < GUARD; i++)
		if (at[HEAD + n + i] != (char)0xff) {
			fprintf(stderr, "fake card: a kernel wrote beyond the end of its memory\n");
			return 700;
		}
	allocated -= n;
	free(at);
	return 0;
}
int cuMemHostAlloc(void **p, size_t n, unsigned) { *p = malloc(n); return 0; }
int cuMemFreeHost(void *p) { free(p); return 0; }
int cuMemcpyHtoDAsync_v2(uint64_t d, const void *s, size_t n, void *) { FAKE(cuMemcpyHtoDAsync_v2); memcpy((void *)d, s, n); return 0; }
int cuMemcpyDtoHAsync_v2(void *d, uint64_t s, size_t n, void *) { memcpy(d, (void *)s, n); return 0; }
int cuMemsetD8Async(uint64_t d, unsigned char v, size_t n, void *) { memset((void *)d, v, n); return 0; }

int cuModuleLoadData(void **m, const void *ptx)
{
	FAKE(cuModuleLoadData);
	static int module;
	*m = &module;
	return strstr((const char *)ptx, ".version 8.1") ? 0 : 218;
}
int cuModuleUnload(void *) { return 0; }
int cuModuleGetFunction(const kernel **f, void *, const char *name)
{
	for (const kernel &k : kernels)
		if (!strcmp(k.name, name)) {
			*f = &k;
			return 0;
		}
	return 500;
}
int cuFuncSetAttribute(const kernel *, int, int bytes) { return bytes <= 101376 ? 0 : 1; }

// The list of parameters ends with a null pointer: not the driver's rule but ours, so that their number can be compared.
int cuLaunchKernel(const kernel *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *,
	void **parameters, void **)
{
	FAKE(cuLaunchKernel);
	int n = 0;
	while (parameters[n])
		n++;
	if (n != f->parameters || !gx || !gy || gz != 1 || bx % 32 || by != 1 || bz != 1 || bx > host::MOST_THREADS || gy > 65535) {
		fprintf(stderr, "fake card: %s takes %d parameters, got %d, grid %u x %u, block %u\n", f->name, f->parameters, n, gx, gy, bx);
		return 1;
	}
	std::lock_guard<std::mutex> lock(one_at_a_time);
	host::body = f->call;
	host::arguments = parameters;
	host::shared_bytes = shared;
	host::too_little_shared = false;
	gridDim = {gx, gy, 1};
	blockDim = {bx, 1, 1};
	for (blockIdx.y = 0; blockIdx.y < gy; blockIdx.y++)
		for (blockIdx.x = 0; blockIdx.x < gx; blockIdx.x++) {
			memset((void *)dynamic_shared, 0xff, shared);
			if (!host::run_block()) {
				fprintf(stderr, "fake card: %s waits for ever: not all threads reach a barrier\n", f->name);
				return 719;
			}
		}
	if (host::too_little_shared) {
		fprintf(stderr, "fake card: %s uses more than the %u bytes of shared memory it was given\n", f->name, shared);
		return 701;
	}
	return 0;
}

#ifndef INCOMPLETE
int cublasCreate_v2(void **h) { FAKE(cublasCreate_v2); static int handle; *h = &handle; return 0; }
#endif
int cublasDestroy_v2(void *) { return 0; }
int cublasGetVersion_v2(void *, int *v) { *v = 120103; return 0; }
int cublasSetStream_v2(void *, void *) { return 0; }
int cublasSetWorkspace_v2(void *, void *, size_t) { return 0; }

// C = alpha op(A) op(B) + beta C, column-major, C in float32.
int cublasGemmEx(void *, int ta, int tb, int m, int n, int k, const float *alpha, const void *a, int atype, int lda, const void *b, int btype,
	int ldb, const float *beta, float *c, int ctype, int ldc, int compute, int)
{
	FAKE(cublasGemmEx);
	if (atype != btype || (atype != 0 && atype != 14) || ctype != 0 || (compute != 68 && compute != 77) || k < 1)
		return 15;
	if (lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m)
		return 7;
	float *row = (float *)malloc(sizeof(float) * k);
	for (long long i = 0; i < m; i++) {
		for (long long l = 0; l < k; l++) {
			row[l] = element(a, atype, ta ? l + i * lda : i + l * lda);
			if (compute == 77)
				row[l] = tf32(row[l]);
		}
		for (long long j = 0; j < n; j++) {
			double s = 0;
			for (long long l = 0; l < k; l++) {
				float y = element(b, btype, tb ? j + l * ldb : l + j * ldb);
				s += (double)row[l] * (compute == 77 ? tf32(y) : y);
			}
			float *d = c + i + j * ldc;
			*d = (float)(*alpha * s) + (*beta == 0 ? 0 : *beta * *d);
		}
	}
	free(row);
	return 0;
}
}
