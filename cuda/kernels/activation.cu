// SwiGLU on a fused row [gate | up]: y = gate * sigmoid(gate) * up.
#include "common.cuh"

__device__ inline float sigmoid(float x) { return 1 / (1 + expf(-x)); }

KERNEL swiglu(float *y, const float *gu, int rows, int width)
{
	EACH(i, (long long)rows * width) {
		const float *gate = gu + i / width * 2 * width + i % width;
		y[i] = gate[0] * sigmoid(gate[0]) * gate[width];
	}
}

KERNEL swiglu_back(float *ggu, const float *gy, const float *gu, int rows, int width)
{
	EACH(i, (long long)rows * width) {
		long long at = i / width * 2 * width + i % width;
		float x = gu[at], up = gu[at + width], s = sigmoid(x);
		ggu[at + width] = gy[i] * x * s;
		ggu[at] = gy[i] * up * s * (1 + x * (1 - s));
	}
}
