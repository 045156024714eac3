// Frozen weights as they are stored: rows of numbers again, for embeddings and, tile by tile, for matrix products.
#include "common.cuh"

// The levels of a 4-bit code (NF4Levels of package backend).
__device__ const float nf4_levels[16] = {-1, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f,
	-0.18477343022823334f, -0.09105003625154495f, 0, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f,
	0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1};

enum { STORED_F32, STORED_BF16, STORED_INT8, STORED_NF4 }; // as backend.Kind

// stored is number i of the matrix, counted in rows of cols numbers. Scales are one a row (int8) or one for 64 numbers (nf4).
__device__ inline float stored(int kind, const void *w, const float *scales, long long i, int cols)
{
	switch (kind) {
	case STORED_BF16: return widen(((const bf16 *)w)[i]);
	case STORED_INT8: return scales[i / cols] * ((const signed char *)w)[i];
	case STORED_NF4: {
		unsigned char two = ((const unsigned char *)w)[i / 2];
		return nf4_levels[i % 2 ? two & 15 : two >> 4] * scales[i / 64];
	}
	}
	return ((const float *)w)[i];
}

// d = the n numbers of the matrix from number first on.
KERNEL widen_f32(float *d, int kind, const void *w, const float *scales, long long first, long long n, int cols)
{
	EACH(i, n)
		d[i] = stored(kind, w, scales, first + i, cols);
}

KERNEL widen_bf16(bf16 *d, int kind, const void *w, const float *scales, long long first, long long n, int cols)
{
	EACH(i, n)
		narrow(d[i], stored(kind, w, scales, first + i, cols));
}

// d[i, :] = row ids[i] of the part of the matrix that begins with row first.
KERNEL embed(float *d, int kind, const void *w, const float *scales, int first, const int *ids, int rows, int cols)
{
	EACH(i, (long long)rows * cols)
		d[i] = stored(kind, w, scales, (long long)(first + ids[i / cols]) * cols + i % cols, cols);
}

// ge[ids[i], :] += g[i, :] in the order of i: a thread owns a column, so that the order never changes.
KERNEL embed_back(float *ge, const float *g, const int *ids, int rows, int cols)
{
	EACH(c, cols)
		for (int i = 0; i < rows; i++)
			ge[(long long)ids[i] * cols + c] += g[(long long)i * cols + c];
}
