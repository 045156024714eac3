// One query over n keys and values, rows ld apart, as in decoding: scores is scratch for n numbers, with room for whole vectors.
FN void ISA(attend_row)(float *out, const float *q, const float *k, const float *v, len ld, len n, len dim, float scale, float *scores)
{
	ISA(few_rows)(1, n, dim, scale, q, dim, k, ld, 0, scores, n);
	len whole = (n + VL - 1) / VL * VL;
	for (len s = n; s < whole; s++)
		scores[s] = -INFINITY;
	vf tops = load(scores), sums = {0};
	for (len s = VL; s < whole; s += VL)
		tops = VMAX(tops, load(scores + s));
	float top = tops[0];
	for (int i = 1; i < VL; i++)
		top = tops[i] > top ? tops[i] : top;
	for (len s = 0; s < whole; s += VL) {
		vf e = vexp(load(scores + s) - top);
		if (s + VL > n)
			for (int i = (int)(n - s); i < VL; i++)
				e[i] = 0;
		sums += e;
		store(scores + s, e);
	}
	float norm = 1 / sum_lanes(sums);
	len i = 0;
	for (; i + 4 * VL <= dim; i += 4 * VL) {
		vf x[4] = {{0}};
		for (len s = 0; s < n; s++)
UNROLL
			for (int w = 0; w < 4; w++)
				x[w] += load(v + s * ld + i + w * VL) * scores[s];
UNROLL
		for (int w = 0; w < 4; w++)
			store(out + i + w * VL, x[w] * norm);
	}
	for (; i + VL <= dim; i += VL) {
		vf x = {0};
		for (len s = 0; s < n; s++)
			x += load(v + s * ld + i) * scores[s];
		store(out + i, x * norm);
	}
	for (; i < dim; i++) {
		float x = 0;
		for (len s = 0; s < n; s++)
			x = MADD(v[s * ld + i], scores[s], x);
		out[i] = x * norm;
	}
}
