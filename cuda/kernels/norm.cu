// RMSNorm: y = x / sqrt(mean(x²) + eps) * gain, a block for each row.
#include "common.cuh"

KERNEL rms_norm(float *y, float *inv, const float *x, const float *gain, int cols, float eps)
{
	x += (long long)blockIdx.x * cols;
	y += (long long)blockIdx.x * cols;
	float sum = 0;
	IN_ROW(i, cols)
		sum += x[i] * x[i];
	float s = 1 / sqrtf(block_sum(sum) / cols + eps);
	if (threadIdx.x == 0)
		inv[blockIdx.x] = s;
	IN_ROW(i, cols)
		y[i] = x[i] * s * gain[i];
}

// With u = gy*gain: gx = inv*u - x * inv³ * mean(u·x) + beta gx.
KERNEL rms_norm_back(float *gx, const float *gy, const float *x, const float *gain, const float *inv, int cols, float beta)
{
	long long at = (long long)blockIdx.x * cols;
	gx += at;
	gy += at;
	x += at;
	float s = inv[blockIdx.x], sum = 0;
	IN_ROW(i, cols)
		sum += gy[i] * gain[i] * x[i];
	float c = block_sum(sum) / cols * s * s * s;
	IN_ROW(i, cols)
		gx[i] = s * gy[i] * gain[i] - c * x[i] + plus(beta, gx + i);
}

// ggain = sum over rows of gy*x*inv + beta ggain. A block of 256 has 32 columns; warp w adds rows w, w+8, …, then the 8 sums are added in order.
KERNEL rms_norm_gain_back(float *ggain, const float *gy, const float *x, const float *inv, int rows, int cols, float beta)
{
	__shared__ float parts[8][32];
	int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, c = blockIdx.x * 32 + lane;
	float sum = 0;
	if (c < cols)
		for (int r = warp; r < rows; r += 8)
			sum += gy[(long long)r * cols + c] * x[(long long)r * cols + c] * inv[r];
	parts[warp][lane] = sum;
	__syncthreads();
	if (warp == 0 && c < cols) {
		for (int w = 1; w < 8; w++)
			sum += parts[w][lane];
		ggain[c] = sum + plus(beta, ggain + c);
	}
}
