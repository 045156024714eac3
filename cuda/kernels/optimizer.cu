// The optimiser's step.
#include "common.cuh"

// parts[block] = sum of squares of the numbers that the block sees, the same ones every time.
KERNEL sum_squares(double *parts, const float *x, long long n)
{
	double s = 0;
	EACH(i, n)
		s += (double)x[i] * x[i];
	s = block_sum(s);
	if (threadIdx.x == 0)
		parts[blockIdx.x] = s;
}

// acc[0] += the n parts; one block.
KERNEL add_parts(float *acc, const double *parts, int n)
{
	double s = 0;
	IN_ROW(i, n)
		s += parts[i];
	s = block_sum(s);
	if (threadIdx.x == 0)
		acc[0] = (float)(acc[0] + s);
}

// As in PyTorch: p *= shrink, p -= rate * m / (sqrt(v)/root2 + eps).
KERNEL adamw(float *p, const float *g, float *m, float *v, long long n, float grad_scale, float shrink, float beta1, float new1, float beta2,
	float new2, float rate, float root2, float eps)
{
	EACH(i, n) {
		float d = g[i] * grad_scale;
		m[i] = beta1 * m[i] + new1 * d;
		v[i] = beta2 * v[i] + new2 * d * d;
		p[i] = p[i] * shrink - rate * m[i] / (sqrtf(v[i]) / root2 + eps);
	}
}
