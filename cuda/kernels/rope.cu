// Rotary positions: dimension i < rotary/2 of a query or key head turns with i + rotary/2.
#include "common.cuh"

// A block for each row of [heads queries | kv_heads keys | kv_heads values], each of dim numbers. cos and sin are [positions, rotary/2];
// sign -1 turns back. dst may be src.
KERNEL rope(float *dst, const float *src, const float *cos, const float *sin, const int *positions, int heads, int kv_heads, int dim,
	int rotary, float sign)
{
	int width = (heads + 2 * kv_heads) * dim, turned = (heads + kv_heads) * dim, half = rotary / 2;
	src += (long long)blockIdx.x * width;
	dst += (long long)blockIdx.x * width;
	cos += (long long)positions[blockIdx.x] * half;
	sin += (long long)positions[blockIdx.x] * half;
	IN_ROW(e, width) {
		int i = e % dim;
		if (e >= turned || i >= rotary) {
			dst[e] = src[e];
		} else if (i < half) { // this thread owns the pair
			float a = src[e], b = src[e + half], c = cos[i], s = sign * sin[i];
			dst[e] = a * c - b * s;
			dst[e + half] = b * c + a * s;
		}
	}
}
