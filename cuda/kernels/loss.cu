// The two terms of the objective: cross-entropy of a chunk of rows, and PET.
#include "common.cuh"

// A block for each row of logits[rows, vocab]: nll = -log p(target); with grad the logits become scale*(softmax - onehot).
KERNEL softmax_nll(float *logits, float *nll, const int *targets, int vocab, float scale, int grad)
{
	logits += (long long)blockIdx.x * vocab;
	int target = targets[blockIdx.x];
	float top = logits[0], sum = 0;
	IN_ROW(i, vocab)
		top = fmaxf(top, logits[i]);
	top = block_max(top);
	IN_ROW(i, vocab)
		sum += expf(logits[i] - top);
	sum = block_sum(sum);
	if (threadIdx.x == 0)
		nll[blockIdx.x] = logf(sum) + (top - logits[target]);
	if (!grad)
		return;
	__syncthreads(); // the target's logit is read above
	float f = scale / sum;
	IN_ROW(i, vocab)
		logits[i] = expf(logits[i] - top) * f - (i == target ? scale : 0);
}

// out[0] = scale * sum of x; one block.
KERNEL sum(float *out, const float *x, int n, double scale)
{
	double s = 0;
	IN_ROW(i, n)
		s += x[i];
	s = block_sum(s);
	if (threadIdx.x == 0)
		out[0] = (float)(scale * s);
}

// The second difference of the states at row t: it looks at t, t+1, t+2.
__device__ inline float difference(const float *h, int cols) { return h[2 * cols] - 2 * h[cols] + h[0]; }

// A block for each row: squares[row] = |h|², differences[row] = |d2|² or 0 where no triple begins. segment[row] is -1 for padding;
// segment s has the rows [starts[s], starts[s] + lengths[s]).
KERNEL pet_rows(double *squares, double *differences, const float *h, int cols, const int *segment, const int *starts, const int *lengths)
{
	int row = blockIdx.x, s = segment[row];
	int triple = s >= 0 && row + 2 < starts[s] + lengths[s];
	h += (long long)row * cols;
	double a = 0, b = 0;
	IN_ROW(i, cols) {
		a += (double)h[i] * h[i];
		if (triple) {
			float d = difference(h + i, cols);
			b += (double)d * d;
		}
	}
	a = block_sum(a);
	b = block_sum(b);
	if (threadIdx.x == 0) {
		squares[row] = a;
		differences[row] = b;
	}
}

// A block for each segment: weights[s] = scale/cols/(6 v + 1e-8) with v its mean square, values[s] = that times its sum of |d2|².
KERNEL pet_segments(float *weights, float *values, const double *squares, const double *differences, const int *starts, const int *lengths,
	int cols, double scale)
{
	int from = starts[blockIdx.x], length = lengths[blockIdx.x];
	double a = 0, b = 0;
	IN_ROW(r, length) {
		a += squares[from + r];
		b += differences[from + r];
	}
	a = block_sum(a);
	b = block_sum(b);
	if (threadIdx.x == 0) {
		double w = length < 3 ? 0 : scale / cols / (6 * (a / ((double)length * cols)) + 1e-8);
		weights[blockIdx.x] = (float)w;
		values[blockIdx.x] = (float)(w * b);
	}
}

// gh: every triple gives its difference times (1, -2, 1) to its three rows; a row collects from the three triples that it is in.
KERNEL pet_back(float *gh, const float *h, int cols, const int *segment, const int *starts, const int *lengths, const float *weights)
{
	int row = blockIdx.x, s = segment[row], first = s < 0 ? 0 : starts[s], last = s < 0 ? -1 : first + lengths[s] - 3; // triples begin in [first, last]
	h += (long long)row * cols;
	gh += (long long)row * cols;
	float w = s < 0 ? 0 : 2 * weights[s];
	IN_ROW(i, cols) {
		float g = 0;
		if (row <= last)
			g += difference(h + i, cols);
		if (row - 1 >= first && row - 1 <= last)
			g -= 2 * difference(h + i - cols, cols);
		if (row - 2 >= first && row - 2 <= last)
			g += difference(h + i - 2 * cols, cols);
		gh[i] = w * g;
	}
}
