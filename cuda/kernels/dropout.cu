// Dropout whose bits are a hash of what they belong to: the same as DropoutRow and DropoutHash of package backend.
#include "common.cuh"

typedef unsigned long long u64;

__device__ inline u64 mix64(u64 z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

__device__ inline unsigned hash(u64 row, unsigned channel)
{
	unsigned h = channel * 0x9e3779b9u + (unsigned)row;
	h = (h ^ h >> 16) * 0x85ebca6bu;
	h ^= (unsigned)(row >> 32);
	h = (h ^ h >> 13) * 0xc2b2ae35u;
	return h ^ h >> 16;
}

// A block for each row. segment[row] is the row's segment, -1 for padding, which stays as it is; starts and ids are those of segments.
KERNEL dropout(float *d, const float *x, int cols, const int *segment, const int *starts, const u64 *ids, u64 key, unsigned threshold,
	float keep, float beta)
{
	int row = blockIdx.x, s = segment[row];
	u64 bits = s < 0 ? 0 : mix64(mix64(key ^ ids[s] * 0x9e3779b97f4a7c15ull) ^ (u64)(row - starts[s]));
	IN_ROW(c, cols) {
		long long i = (long long)row * cols + c;
		float v = x[i];
		if (s >= 0)
			v = hash(bits, (unsigned)c) < threshold ? 0 : v * keep;
		d[i] = v + plus(beta, d + i);
	}
}
