// The SO8T gate: y = x · blockdiag(R), R = (I - A/2)⁻¹(I + A/2) per block of 8, A skew from 28 parameters (upper triangle, row by row).
#include "common.cuh"

// skew writes I + sign*A/2.
__device__ inline void skew(double *m, const float *theta, double sign)
{
	for (int i = 0; i < 64; i++)
		m[i] = 0;
	for (int i = 0, p = 0; i < 8; i++) {
		m[9 * i] = 1;
		for (int j = i + 1; j < 8; j++, p++) {
			m[8 * i + j] = sign * theta[p] / 2;
			m[8 * j + i] = -m[8 * i + j];
		}
	}
}

// solve replaces b by a⁻¹b by elimination with row pivoting; a is destroyed. I ± A/2 is never singular: its eigenvalues are 1 ± iφ/2.
__device__ inline void solve(double *a, double *b)
{
	for (int c = 0; c < 8; c++) {
		int pivot = c;
		for (int r = c + 1; r < 8; r++)
			if (fabs(a[8 * r + c]) > fabs(a[8 * pivot + c]))
				pivot = r;
		for (int j = 0; j < 8 && pivot != c; j++) {
			double t = a[8 * c + j], u = b[8 * c + j];
			a[8 * c + j] = a[8 * pivot + j], a[8 * pivot + j] = t;
			b[8 * c + j] = b[8 * pivot + j], b[8 * pivot + j] = u;
		}
		for (int r = c + 1; r < 8; r++) {
			double f = a[8 * r + c] / a[9 * c];
			for (int j = 0; j < 8 && f != 0; j++) {
				a[8 * r + j] -= f * a[8 * c + j];
				b[8 * r + j] -= f * b[8 * c + j];
			}
		}
	}
	for (int c = 7; c >= 0; c--)
		for (int j = 0; j < 8; j++) {
			double s = b[8 * c + j];
			for (int k = c + 1; k < 8; k++)
				s -= a[8 * c + k] * b[8 * k + j];
			b[8 * c + j] = s / a[9 * c];
		}
}

// A thread for each block of the gate, in float64: there are few of them, once a step.
KERNEL cayley(float *r, const float *theta, int blocks)
{
	EACH(b, blocks) {
		double left[64], right[64];
		skew(left, theta + 28 * b, -1);
		skew(right, theta + 28 * b, 1);
		solve(left, right);
		for (int i = 0; i < 64; i++)
			r[64 * b + i] = (float)right[i];
	}
}

// With G = ∂/∂R: ∂/∂A = (I-A/2)⁻ᵀ G (I+R)ᵀ / 2, and theta enters A at (i,j) and, negated, at (j,i). (I-A/2)ᵀ = I+A/2.
KERNEL cayley_back(float *gtheta, const float *gr, const float *theta, int blocks, float beta)
{
	EACH(b, blocks) {
		double left[64], right[64], g[64];
		const float *gb = gr + 64 * b;
		float *out = gtheta + 28 * b;
		skew(left, theta + 28 * b, -1);
		skew(right, theta + 28 * b, 1);
		solve(left, right);
		for (int i = 0; i < 8; i++)
			for (int j = 0; j < 8; j++) {
				double s = gb[8 * i + j]; // G (I+R)ᵀ = G + G Rᵀ
				for (int k = 0; k < 8; k++)
					s += gb[8 * i + k] * right[8 * j + k];
				g[8 * i + j] = s / 2;
			}
		skew(left, theta + 28 * b, 1);
		solve(left, g);
		for (int i = 0, p = 0; i < 8; i++)
			for (int j = i + 1; j < 8; j++, p++)
				out[p] = (float)(g[8 * i + j] - g[8 * j + i]) + plus(beta, out + p);
	}
}

// A thread for 8 numbers of a row. With inverse, by Rᵀ.
KERNEL rotate(float *y, const float *x, const float *r, int rows, int blocks, int inverse)
{
	EACH(i, (long long)rows * blocks) {
		const float *in = x + 8 * i, *rb = r + i % blocks * 64;
		float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
		for (int k = 0; k < 8; k++)
			for (int o = 0; o < 8; o++)
				sum[o] += in[k] * (inverse ? rb[8 * o + k] : rb[8 * k + o]);
		for (int o = 0; o < 8; o++)
			y[8 * i + o] = sum[o];
	}
}

// gr[block] = sum over rows of xᵀ gy. A block of 256 threads for each block of the gate: entry e = (i, o) and row r mod 4, added in order.
KERNEL rotate_grad(float *gr, const float *x, const float *gy, int rows, int blocks)
{
	__shared__ float parts[4][64];
	int e = threadIdx.x & 63, part = threadIdx.x >> 6, i = e >> 3, o = e & 7;
	float sum = 0;
	for (int r = part; r < rows; r += 4) {
		long long at = ((long long)r * blocks + blockIdx.x) * 8;
		sum += x[at + i] * gy[at + o];
	}
	parts[part][e] = sum;
	__syncthreads();
	if (part == 0)
		gr[blockIdx.x * 64 + e] = sum + parts[1][e] + parts[2][e] + parts[3][e];
}
