// Plain vector operations; the residual connection is axpby with both factors 1.
#include "common.cuh"

KERNEL fill(float *d, float v, long long n)
{
	EACH(i, n)
		d[i] = v;
}

// d = alpha x + beta y; y may be null.
KERNEL axpby(float *d, float alpha, const float *x, float beta, const float *y, long long n)
{
	EACH(i, n)
		d[i] = alpha * x[i] + (y ? plus(beta, y + i) : 0);
}

// d = s[0] x + beta d
KERNEL scale_by(float *d, const float *x, const float *s, float beta, long long n)
{
	EACH(i, n)
		d[i] = *s * x[i] + plus(beta, d + i);
}

// d[rows, cols] with rows ldd apart = src, with rows lds apart.
KERNEL copy_2d(float *d, int ldd, const float *src, int lds, int rows, int cols)
{
	EACH(i, (long long)rows * cols)
		d[i / cols * ldd + i % cols] = src[i / cols * lds + i % cols];
}

// d = beta d: what a product over nothing leaves.
KERNEL scale_2d(float *d, int ldd, int rows, int cols, float beta)
{
	EACH(i, (long long)rows * cols) {
		float *at = d + i / cols * ldd + i % cols;
		*at = plus(beta, at);
	}
}

KERNEL to_bf16(bf16 *d, const float *x, long long n)
{
	EACH(i, n)
		narrow(d[i], x[i]);
}

// d[i, :] = src[index[i], :]
KERNEL gather_rows(float *d, const float *src, const int *index, int rows, int cols)
{
	EACH(i, (long long)rows * cols)
		d[i] = src[(long long)index[i / cols] * cols + i % cols];
}

// d[index[i], :] = src[i, :]; no index comes twice.
KERNEL scatter_rows(float *d, const float *src, const int *index, int rows, int cols)
{
	EACH(i, (long long)rows * cols)
		d[(long long)index[i / cols] * cols + i % cols] = src[i];
}
