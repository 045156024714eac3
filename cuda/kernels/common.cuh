// What the kernels share. Compiled by NVRTC, which needs no header, and for tests by a host C++ compiler after ../testdata/host.h,
// which stands in for the card: blocks one after the other, a fibre for each thread.
//
// Rules for every kernel: matrices are row-major float32; a sum has a fixed order, so there are no atomics; no thread returns before
// a barrier that others wait at; sizes are ints, places in memory long long.
#ifndef SO8T_COMMON
#define SO8T_COMMON

#define KERNEL extern "C" __global__ void
#define EACH(i, n) \
	for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += (long long)gridDim.x * blockDim.x)
#define IN_ROW(i, cols) for (int i = threadIdx.x; i < (cols); i += blockDim.x)
#define ALL_LANES 0xffffffffu

#ifndef SO8T_HOST
extern __shared__ float4 dynamic_shared[];
// shared_until is where a host build checks that the launch asked for enough shared memory.
#define shared_until(end)
#endif

// The number types that a matrix can be stored in for products.
struct bf16 { unsigned short bits; };

__device__ inline unsigned bits_of(float x) { union { float f; unsigned u; } v; v.f = x; return v.u; }
__device__ inline float float_of(unsigned u) { union { float f; unsigned u; } v; v.u = u; return v.f; }
#define LOWEST float_of(0xff800000u) // minus infinity
__device__ inline float widen(bf16 x) { return float_of((unsigned)x.bits << 16); }
__device__ inline float widen(float x) { return x; }

// narrow rounds to nearest, ties to even; NaN stays NaN, so that a diverged run is seen.
__device__ inline void narrow(float &d, float x) { d = x; }
__device__ inline void narrow(bf16 &d, float x)
{
	unsigned u = bits_of(x);
	if ((u & 0x7fffffffu) > 0x7f800000u)
		d.bits = (unsigned short)(u >> 16 | 0x40u);
	else
		d.bits = (unsigned short)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

// plus is beta*old, and 0 for beta = 0 even when old is rubbish.
__device__ inline float plus(float beta, const float *old) { return beta == 0 ? 0 : beta * *old; }

// The butterfly adds the same pairs in every lane: all lanes get the same bits.
template <class T> __device__ inline T warp_sum(T v)
{
	for (int o = 16; o > 0; o >>= 1)
		v += __shfl_xor_sync(ALL_LANES, v, o);
	return v;
}

__device__ inline float warp_max(float v)
{
	for (int o = 16; o > 0; o >>= 1)
		v = fmaxf(v, __shfl_xor_sync(ALL_LANES, v, o));
	return v;
}

// block_sum gives every thread the sum over the block, whose size is a multiple of 32.
template <class T> __device__ inline T block_sum(T v)
{
	__shared__ T parts[32];
	int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
	v = warp_sum(v);
	__syncthreads(); // parts may still be read from the call before
	if (lane == 0)
		parts[warp] = v;
	__syncthreads();
	return warp_sum(lane < (int)(blockDim.x >> 5) ? parts[lane] : (T)0);
}

__device__ inline float block_max(float v)
{
	__shared__ float parts[32];
	int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
	v = warp_max(v);
	__syncthreads();
	if (lane == 0)
		parts[warp] = v;
	__syncthreads();
	return warp_max(lane < (int)(blockDim.x >> 5) ? parts[lane] : parts[0]);
}

#endif
