// Products of tiles in shared memory by one warp. The 16 x 8 tile of a result is spread over the lanes as the tensor cores want it: with
// g = lane/4 and t = lane%4 a lane holds (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1).
#ifndef SO8T_PRODUCT
#define SO8T_PRODUCT
#include "common.cuh"

struct lane_place { int g, t; };

__device__ inline lane_place place()
{
	lane_place p = {(int)(threadIdx.x & 31) >> 2, (int)threadIdx.x & 3};
	return p;
}

// mma is d += a b for bf16 tiles a[16 x 16] and b[16 x 8], two numbers in each register.
#if !defined(SO8T_HOST) && __CUDA_ARCH__ >= 800
__device__ inline void mma(float *d, const unsigned *a, const unsigned *b)
{
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
		: "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#elif !defined(SO8T_HOST)
__device__ void mma(float *d, const unsigned *a, const unsigned *b); // never called: see the end of attention.cu
#endif

__device__ inline unsigned pair(bf16 low, bf16 high) { return low.bits | (unsigned)high.bits << 16; }
__device__ inline unsigned pair(const bf16 *p) { return *(const unsigned *)p; } // p[0] and p[1]; p is even

// product adds A[16 x K] B[K x 8N] to acc. A has rows lda apart. B is stored [8N x K] when BT is set, else [K x 8N], rows ldb apart.
template <int N, int K, bool BT> __device__ inline void product(float (*acc)[4], const bf16 *a, int lda, const bf16 *b, int ldb)
{
	lane_place p = place();
#pragma unroll
	for (int k = 0; k < K; k += 16) {
		const bf16 *a0 = a + p.g * lda + k + 2 * p.t, *a8 = a0 + 8 * lda;
		unsigned fa[4] = {pair(a0), pair(a8), pair(a0 + 8), pair(a8 + 8)};
#pragma unroll
		for (int j = 0; j < N; j++) {
			unsigned fb[2];
			if (BT) {
				const bf16 *at = b + (8 * j + p.g) * ldb + k + 2 * p.t;
				fb[0] = pair(at);
				fb[1] = pair(at + 8);
			} else {
				const bf16 *at = b + (k + 2 * p.t) * ldb + 8 * j + p.g;
				fb[0] = pair(at[0], at[ldb]);
				fb[1] = pair(at[8 * ldb], at[9 * ldb]);
			}
			mma(acc[j], fa, fb);
		}
	}
}

// The same in float32, without tensor cores.
template <int N, int K, bool BT> __device__ inline void product(float (*acc)[4], const float *a, int lda, const float *b, int ldb)
{
	lane_place p = place();
	for (int k = 0; k < K; k++) {
		float a0 = a[p.g * lda + k], a8 = a[(p.g + 8) * lda + k];
#pragma unroll
		for (int j = 0; j < N; j++) {
			int n = 8 * j + 2 * p.t;
			float b0 = BT ? b[n * ldb + k] : b[k * ldb + n], b1 = BT ? b[(n + 1) * ldb + k] : b[k * ldb + n + 1];
			acc[j][0] += a0 * b0;
			acc[j][1] += a0 * b1;
			acc[j][2] += a8 * b0;
			acc[j][3] += a8 * b1;
		}
	}
}

// keep writes the warp's 16 x 8N result as numbers of type T, rows ld apart.
template <class T, int N> __device__ inline void keep(T *d, int ld, float (*acc)[4])
{
	lane_place p = place();
#pragma unroll
	for (int j = 0; j < N; j++)
		for (int i = 0; i < 4; i++)
			narrow(d[(p.g + i / 2 * 8) * ld + 8 * j + 2 * p.t + i % 2], acc[j][i]);
}

// load_tile fills rows x D numbers of a tile from rows ld apart; what is beyond the valid rows or dim columns becomes 0.
template <class T, int D> __device__ inline void load_tile(T *d, int ldd, const float *src, long long ld, int rows, int valid, int dim)
{
	for (int i = threadIdx.x; i < rows * D; i += blockDim.x) {
		int r = i / D, c = i % D;
		narrow(d[r * ldd + c], r < valid && c < dim ? src[r * ld + c] : 0);
	}
}

// store_rows writes the columns below dim of the warp's 16 x 8N result to rows ld apart, as far as they are valid.
template <int N> __device__ inline void store_rows(float *d, long long ld, float (*acc)[4], int valid, int dim)
{
	lane_place p = place();
#pragma unroll
	for (int j = 0; j < N; j++)
		for (int i = 0; i < 4; i++) {
			int r = p.g + i / 2 * 8, c = 8 * j + 2 * p.t + i % 2;
			if (r < valid && c < dim)
				d[r * ld + c] = acc[j][i];
		}
}

#endif
