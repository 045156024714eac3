// Attention of one key head in one segment, QB query rows at a time: the scores of a block against all its keys are one small product. The
// backward pass computes the probabilities again from the saved log-sum-exp.
#define QB 56

struct block {
	len t0, t1, from, keys; // query rows [t0, t1) see keys [from, from+keys)
};

INLINE struct block block_of(const struct heads *h, len t0)
{
	struct block b = {t0, t0 + QB < h->rows ? t0 + QB : h->rows, 0, 0};
	if (h->window > 0 && t0 - h->window + 1 > 0)
		b.from = t0 - h->window + 1;
	b.keys = b.t1 - b.from;
	return b;
}

// The keys [lo, hi) of a block's row t, counted from the block's first key.
INLINE void visible(const struct heads *h, const struct block *b, len t, len *lo, len *hi)
{
	*lo = 0;
	if (h->window > 0 && t - h->window + 1 > b->from)
		*lo = t - h->window + 1 - b->from;
	*hi = t + 1 - b->from;
}

// Scratch rows are padded to whole vectors, so that loops may run over the end.
INLINE len padded(len n) { return (n + VL - 1) / VL * VL; }

INLINE void hide(float *row, len lo, len hi, len n, float v)
{
	for (len i = 0; i < lo; i++)
		row[i] = v;
	for (len i = hi; i < n; i++)
		row[i] = v;
}

FN void ISA(attend)(const struct heads *h)
{
	len width = padded(h->rows);
	float *s = so8t_scratch(1, QB * width);
	for (len g = 0; g < h->group; g++)
		for (len t0 = 0; t0 < h->rows; t0 += QB) {
			struct block b = block_of(h, t0);
			len n = padded(b.keys);
			float norm[QB];
			ISA(gemm)(b.t1 - b.t0, b.keys, h->dim, h->scale, h->q + b.t0 * h->ld + g * h->dim, h->ld, 1, h->k + b.from * h->ld, 1, h->ld, 0, s, n);
			for (len t = b.t0; t < b.t1; t++) {
				float *row = s + (t - b.t0) * n;
				len lo, hi;
				visible(h, &b, t, &lo, &hi);
				len end = padded(hi);
				hide(row, lo, hi, end, -INFINITY);
				vf m = load(row), sum = {0};
				for (len i = VL; i < end; i += VL)
					m = VMAX(m, load(row + i));
				float top = m[0];
				for (int l = 1; l < VL; l++)
					top = m[l] > top ? m[l] : top;
				for (len i = 0; i < end; i += VL) {
					vf e = vexp(load(row + i) - top); // hidden ones: about 1e-38, nothing beside the largest, which is 1
					sum += e;
					store(row + i, e);
				}
				hide(row, lo, hi, n, 0);
				float total = sum_lanes(sum);
				norm[t - b.t0] = 1.0f / total;
				h->lse[t * h->ldl + g] = top + logf(total);
			}
			float *out = h->out + b.t0 * h->ldo + g * h->dim;
			ISA(gemm)(b.t1 - b.t0, h->dim, b.keys, 1, s, n, 1, h->v + b.from * h->ld, h->ld, 1, 0, out, h->ldo);
			for (len t = 0; t < b.t1 - b.t0; t++)
				for (len i = 0; i < h->dim; i++)
					out[t * h->ldo + i] *= norm[t];
		}
}

FN void ISA(attend_back)(const struct heads *h)
{
	len width = padded(h->rows);
	float *s = so8t_scratch(1, 2 * QB * width), *d = s + QB * width;
	for (len t = 0; t < h->rows; t++) {
		memset(h->gk + t * h->ld, 0, h->dim * sizeof(float));
		memset(h->gv + t * h->ld, 0, h->dim * sizeof(float));
	}
	for (len g = 0; g < h->group; g++)
		for (len t0 = 0; t0 < h->rows; t0 += QB) {
			struct block b = block_of(h, t0);
			len n = padded(b.keys), rows = b.t1 - b.t0;
			const float *q = h->q + b.t0 * h->ld + g * h->dim, *k = h->k + b.from * h->ld, *v = h->v + b.from * h->ld;
			const float *go = h->gout + b.t0 * h->ldo + g * h->dim, *o = h->out + b.t0 * h->ldo + g * h->dim;
			ISA(gemm)(rows, b.keys, h->dim, h->scale, q, h->ld, 1, k, 1, h->ld, 0, s, n);
			ISA(gemm)(rows, b.keys, h->dim, 1, go, h->ldo, 1, v, 1, h->ld, 0, d, n);
			for (len t = 0; t < rows; t++) {
				float *row = s + t * n, *dr = d + t * n;
				float lse = h->lse[(b.t0 + t) * h->ldl + g], delta = dot(go + t * h->ldo, o + t * h->ldo, h->dim);
				len lo, hi;
				visible(h, &b, b.t0 + t, &lo, &hi);
				len end = padded(hi);
				for (len i = 0; i < end; i += VL) {
					vf p = vexp(load(row + i) - lse);
					store(row + i, p);
					store(dr + i, p * (load(dr + i) - delta) * h->scale);
				}
				hide(row, lo, hi, n, 0);
				hide(dr, lo, hi, n, 0);
			}
			ISA(gemm)(b.keys, h->dim, rows, 1, s, 1, n, go, h->ldo, 1, 1, h->gv + b.from * h->ld, h->ld);
			ISA(gemm)(rows, h->dim, b.keys, 1, d, n, 1, k, h->ld, 1, 0, h->gq + b.t0 * h->ld + g * h->dim, h->ld);
			ISA(gemm)(b.keys, h->dim, rows, 1, d, 1, n, q, h->ld, 1, 1, h->gk + b.from * h->ld, h->ld);
		}
}
