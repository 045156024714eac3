// exp with a relative error below 2e-7 on [-87, 88]; smaller arguments give about 1e-38, larger ones about 1e38, NaN stays.
INLINE vf vexp(vf x)
{
	x = VMIN(splat(88.0f), x);
	x = VMAX(splat(-87.0f), x);
	vf t = x * 1.44269504088896341f + 12582912.0f; // round to an integer in the low bits
	vf n = t - 12582912.0f;
	vf r = x - n * 0.693359375f;
	r = r + n * 2.12194440e-4f;
	vf p = splat(1.9875691500e-4f);
	p = p * r + 1.3981999507e-3f;
	p = p * r + 8.3334519073e-3f;
	p = p * r + 4.1665795894e-2f;
	p = p * r + 1.6666665459e-1f;
	p = p * r + 5.0000001201e-1f;
	p = p * (r * r) + r + 1.0f;
	vi e = ((vi)t << 23) + 0x3f800000; // 12582912 = 0x4b400000 leaves no bit below the exponent's place after the shift
	return p * (vf)e;
}

INLINE vf sigmoid(vf x) { return 1.0f / (1.0f + vexp(-x)); }

// The last, partial vector of a row goes through a copy, so that it is computed like the others.
INLINE vf load_part(const float *p, len n)
{
	float t[VL] = {0};
	memcpy(t, p, n * sizeof *t);
	return load(t);
}

INLINE void store_part(float *p, vf x, len n) { memcpy(p, &x, n * sizeof *p); }

FN void ISA(axpby)(float *dst, float alpha, const float *x, float beta, const float *y, len n)
{
	len i = 0;
	if (!y) {
		for (; i + VL <= n; i += VL)
			store(dst + i, load(x + i) * alpha);
		for (; i < n; i++)
			dst[i] = alpha * x[i];
		return;
	}
	for (; i + VL <= n; i += VL)
		store(dst + i, load(x + i) * alpha + load(y + i) * beta);
	if (i < n)
		store_part(dst + i, load_part(x + i, n - i) * alpha + load_part(y + i, n - i) * beta, n - i);
}

INLINE float dot(const float *x, const float *y, len n)
{
	vf s0 = {0}, s1 = {0};
	len i = 0;
	for (; i + 2 * VL <= n; i += 2 * VL) {
		s0 += load(x + i) * load(y + i);
		s1 += load(x + i + VL) * load(y + i + VL);
	}
	for (; i + VL <= n; i += VL)
		s0 += load(x + i) * load(y + i);
	if (i < n)
		s1 += load_part(x + i, n - i) * load_part(y + i, n - i);
	return sum_lanes(s0 + s1);
}

FN void ISA(rmsnorm)(float *y, float *inv, const float *x, const float *gain, len rows, len cols, float eps)
{
	for (len r = 0; r < rows; r++, x += cols, y += cols) {
		float s = 1.0f / sqrtf(dot(x, x, cols) / cols + eps);
		inv[r] = s;
		len i = 0;
		for (; i + VL <= cols; i += VL)
			store(y + i, load(x + i) * s * load(gain + i));
		for (; i < cols; i++)
			y[i] = x[i] * s * gain[i];
	}
}

FN void ISA(rmsnorm_back)(float *gx, const float *gy, const float *x, const float *gain, const float *inv, len rows, len cols, float beta)
{
	for (len r = 0; r < rows; r++, x += cols, gy += cols, gx += cols) {
		vf acc = {0};
		len i = 0;
		for (; i + VL <= cols; i += VL)
			acc += load(gy + i) * load(gain + i) * load(x + i);
		if (i < cols)
			acc += load_part(gy + i, cols - i) * load_part(gain + i, cols - i) * load_part(x + i, cols - i);
		float s = inv[r], c = sum_lanes(acc) / cols * s * s * s;
		for (i = 0; i + VL <= cols; i += VL) {
			vf d = load(gy + i) * load(gain + i) * s - load(x + i) * c;
			if (beta != 0)
				d += load(gx + i) * beta;
			store(gx + i, d);
		}
		for (; i < cols; i++) {
			float d = gy[i] * gain[i] * s - x[i] * c;
			gx[i] = beta != 0 ? d + gx[i] * beta : d;
		}
	}
}

FN void ISA(gain_back)(float *ggain, const float *gy, const float *x, const float *inv, len rows, len cols, len from, len to, float beta)
{
	for (len i = from; i < to; i++)
		ggain[i] = beta != 0 ? ggain[i] * beta : 0;
	for (len r = 0; r < rows; r++, x += cols, gy += cols) {
		float s = inv[r];
		len i = from;
		for (; i + VL <= to; i += VL)
			store(ggain + i, load(ggain + i) + load(gy + i) * load(x + i) * s);
		if (i < to)
			store_part(ggain + i, load_part(ggain + i, to - i) + load_part(gy + i, to - i) * load_part(x + i, to - i) * s, to - i);
	}
}

typedef float v4 __attribute__((vector_size(16), aligned(4), may_alias));

FN void ISA(rope)(float *dst, const float *src, const int *positions, const float *cos, const float *sin, len rows, len width, len turned, len dim, len rotary, int inverse)
{
	len half = rotary / 2;
	for (len r = 0; r < rows; r++, dst += width, src += width) {
		const float *c = cos + positions[r] * half, *s = sin + positions[r] * half;
		if (dst != src)
			memcpy(dst, src, width * sizeof *dst);
		float sign = inverse ? -1.0f : 1.0f;
		for (len h = 0; h < turned; h++) {
			float *v = dst + h * dim, *w = v + half;
			len i = 0;
			for (; i + 4 <= half; i += 4) {
				v4 a = *(v4 *)(v + i), b = *(v4 *)(w + i), cc = *(const v4 *)(c + i), ss = *(const v4 *)(s + i) * sign;
				*(v4 *)(v + i) = a * cc - b * ss;
				*(v4 *)(w + i) = b * cc + a * ss;
			}
			for (; i < half; i++) {
				float a = v[i], b = w[i], ss = s[i] * sign;
				v[i] = a * c[i] - b * ss;
				w[i] = b * c[i] + a * ss;
			}
		}
	}
}

FN void ISA(swiglu)(float *y, const float *gu, len rows, len width)
{
	for (len r = 0; r < rows; r++, y += width, gu += 2 * width) {
		len i = 0;
		for (; i + VL <= width; i += VL) {
			vf g = load(gu + i);
			store(y + i, g * sigmoid(g) * load(gu + width + i));
		}
		if (i < width) {
			vf g = load_part(gu + i, width - i);
			store_part(y + i, g * sigmoid(g) * load_part(gu + width + i, width - i), width - i);
		}
	}
}

INLINE void swiglu_grad(vf g, vf u, vf d, vf *dg, vf *du)
{
	vf s = sigmoid(g);
	*du = d * (g * s);
	*dg = d * u * s * (1.0f + g * (1.0f - s));
}

FN void ISA(swiglu_back)(float *ggu, const float *gy, const float *gu, len rows, len width)
{
	for (len r = 0; r < rows; r++, gy += width, gu += 2 * width, ggu += 2 * width) {
		len i = 0;
		vf dg, du;
		for (; i + VL <= width; i += VL) {
			swiglu_grad(load(gu + i), load(gu + width + i), load(gy + i), &dg, &du);
			store(ggu + i, dg);
			store(ggu + width + i, du);
		}
		if (i < width) {
			len n = width - i;
			swiglu_grad(load_part(gu + i, n), load_part(gu + width + i, n), load_part(gy + i, n), &dg, &du);
			store_part(ggu + i, dg, n);
			store_part(ggu + width + i, du, n);
		}
	}
}

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));

FN void ISA(rotate)(float *y, const float *x, const float *r, len rows, len blocks, int inverse)
{
	float turned[64];
	len cols = 8 * blocks;
	for (len b = 0; b < blocks; b++) { // a block's rotation stays in registers while the rows pass
		const float *m = r + 64 * b;
		if (inverse) {
			for (int i = 0; i < 8; i++)
				for (int j = 0; j < 8; j++)
					turned[8 * i + j] = m[8 * j + i];
			m = turned;
		}
		for (len t = 0; t < rows; t++) {
			const float *in = x + t * cols + 8 * b;
			v8 s = *(const v8 *)m * in[0];
UNROLL
			for (int i = 1; i < 8; i++)
				s += *(const v8 *)(m + 8 * i) * in[i];
			*(v8 *)(y + t * cols + 8 * b) = s;
		}
	}
}

FN void ISA(rotate_grad)(float *gr, const float *x, const float *gy, len rows, len cols, len from, len to)
{
	for (len b = from; b < to; b++) {
		v8 s[8] = {{0}};
		for (len t = 0; t < rows; t++) {
			const float *in = x + t * cols + 8 * b;
			v8 g = *(const v8 *)(gy + t * cols + 8 * b);
UNROLL
			for (int i = 0; i < 8; i++)
				s[i] += g * in[i];
		}
		memcpy(gr + 64 * b, s, sizeof s);
	}
}

FN double ISA(softmax_nll)(float *x, len n, len target, float scale, int grad)
{
	float at = x[target], top = x[0];
	vf m = splat(x[0]), s = {0};
	len i = 0;
	for (; i + VL <= n; i += VL) {
		vf v = load(x + i);
		m = VMAX(m, v);
	}
	for (int l = 0; l < VL; l++)
		top = m[l] > top ? m[l] : top;
	for (; i < n; i++)
		top = x[i] > top ? x[i] : top;
	double total = 0;
	for (i = 0; i + VL <= n; i += VL) {
		vf e = vexp(load(x + i) - top);
		s += e;
		if ((i & 4095) == 0) { // float sums stay short
			total += sum_lanes(s);
			s = (vf){0};
		}
		if (grad)
			store(x + i, e);
	}
	if (i < n) {
		vf e = vexp(load_part(x + i, n - i) - top);
		for (len l = 0; l < n - i; l++)
			total += e[l];
		if (grad)
			store_part(x + i, e, n - i);
	}
	total += sum_lanes(s);
	if (grad) {
		ISA(axpby)(x, (float)(scale / total), x, 0, 0, n);
		x[target] -= scale;
	}
	return log(total) + top - at;
}

typedef double vd __attribute__((vector_size(VB)));
typedef float vh __attribute__((vector_size(VB / 2), aligned(4), may_alias));

INLINE double sum_doubles(vd s)
{
	double t = 0;
	for (int i = 0; i < VL / 2; i++)
		t += s[i];
	return t;
}

FN double ISA(sum_squares)(const float *x, len n)
{
	vd s0 = {0}, s1 = {0};
	len i = 0;
	for (; i + VL <= n; i += VL) {
		vd a = __builtin_convertvector(*(const vh *)(x + i), vd), b = __builtin_convertvector(*(const vh *)(x + i + VL / 2), vd);
		s0 += a * a;
		s1 += b * b;
	}
	double t = sum_doubles(s0 + s1);
	for (; i < n; i++)
		t += (double)x[i] * x[i];
	return t;
}

FN double ISA(second_difference)(float *g, const float *h, len rows, len cols, float weight)
{
	double sum = 0;
	for (len t = 0; t + 2 < rows; t++) {
		const float *a = h + t * cols, *b = a + cols, *c = b + cols;
		float *ga = g + t * cols, *gb = ga + cols, *gc = gb + cols;
		vf s = {0};
		len i = 0;
		for (; i + VL <= cols; i += VL) {
			vf d = load(c + i) - 2.0f * load(b + i) + load(a + i);
			s += d * d;
			if (g) {
				store(ga + i, load(ga + i) + d * weight);
				store(gb + i, load(gb + i) - d * (2 * weight));
				store(gc + i, load(gc + i) + d * weight);
			}
		}
		sum += sum_lanes(s);
		for (; i < cols; i++) {
			float d = c[i] - 2 * b[i] + a[i];
			sum += (double)d * d;
			if (g) {
				ga[i] += d * weight;
				gb[i] -= d * (2 * weight);
				gc[i] += d * weight;
			}
		}
	}
	return sum;
}

INLINE void adamw_update(vf *p, vf g, vf *m, vf *v, const struct adamw k)
{
	g *= k.grad_scale;
	*m = *m * k.beta1 + g * k.new1;
	*v = *v * k.beta2 + g * g * k.new2;
	*p = *p * k.shrink - *m * k.rate / (VSQRT(*v) * k.inv_root2 + k.eps);
}

FN void ISA(adamw)(float *p, const float *g, float *m, float *v, len n, const struct adamw *c)
{
	const struct adamw k = *c;
	len i = 0;
	for (; i + VL <= n; i += VL) {
		vf pi = load(p + i), mi = load(m + i), vv = load(v + i);
		adamw_update(&pi, load(g + i), &mi, &vv, k);
		store(p + i, pi);
		store(m + i, mi);
		store(v + i, vv);
	}
	if (i < n) {
		len w = n - i;
		vf pi = load_part(p + i, w), mi = load_part(m + i, w), vv = load_part(v + i, w);
		adamw_update(&pi, load_part(g + i, w), &mi, &vv, k);
		store_part(p + i, pi, w);
		store_part(m + i, mi, w);
		store_part(v + i, vv, w);
	}
}
