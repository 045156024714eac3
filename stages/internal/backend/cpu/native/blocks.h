// Weights in blocks, as they lie in a GGUF file. Every number is what the format says, rounded as it says: a product of two numbers, from which in
// Q4_K and Q5_K another is taken away. ROUNDED keeps the compiler from making one fused operation of that.
#if defined(__x86_64__)
#define ROUNDED(x) __asm__("" : "+v"(x))
#elif defined(__aarch64__)
#define ROUNDED(x) __asm__("" : "+w"(x))
#else
#define ROUNDED(x) __asm__("" : "+m"(x))
#endif

typedef unsigned char vb __attribute__((vector_size(VL)));
typedef signed char vsb __attribute__((vector_size(VL)));
typedef unsigned short vhalf __attribute__((vector_size(2 * VL)));
typedef unsigned vw __attribute__((vector_size(VB)));

INLINE vb load_bytes(const unsigned char *p)
{
	vb x;
	memcpy(&x, p, sizeof x);
	return x;
}
// Whole numbers of VL bytes or halves, by the instructions for it: compilers take convert apart into single bytes.
#if VB == 64
INLINE vi widen_bytes(vb x) { return (vi)_mm512_cvtepu8_epi32((__m128i)x); }
INLINE vi widen_signed(vb x) { return (vi)_mm512_cvtepi8_epi32((__m128i)x); }
INLINE vi widen_halves(vhalf x) { return (vi)_mm512_cvtepu16_epi32((__m256i)x); }
#elif VB == 32
typedef long long pair __attribute__((vector_size(16)));
INLINE __m128i eight(vb x)
{
	long long low;
	memcpy(&low, &x, sizeof low);
	return (__m128i)(pair){low, 0};
}
INLINE vi widen_bytes(vb x) { return (vi)_mm256_cvtepu8_epi32(eight(x)); }
INLINE vi widen_signed(vb x) { return (vi)_mm256_cvtepi8_epi32(eight(x)); }
INLINE vi widen_halves(vhalf x) { return (vi)_mm256_cvtepu16_epi32((__m128i)x); }
#else
INLINE vi widen_bytes(vb x) { return __builtin_convertvector(x, vi); }
INLINE vi widen_signed(vb x) { return __builtin_convertvector((vsb)x, vi); }
INLINE vi widen_halves(vhalf x) { return __builtin_convertvector(x, vi); }
#endif
INLINE vf of_signed(vb x) { return __builtin_convertvector(widen_signed(x), vf); }

// The exponent of a float16 moves by 112; the product also makes numbers without a leading bit right.
INLINE float of_half(const unsigned char *p)
{
	unsigned h = p[0] | p[1] << 8, b = (h & 0x7fff) << 13;
	float x;
	memcpy(&x, &b, 4);
	x *= 0x1p112f;
	memcpy(&b, &x, 4);
	if ((h & 0x7c00) == 0x7c00)
		b |= 0x7f800000;
	b |= (h & 0x8000) << 16;
	memcpy(&x, &b, 4);
	return x;
}

INLINE vf of_halves(const unsigned char *p)
{
	vhalf s;
	memcpy(&s, p, sizeof s);
#if VB == 64
	return (vf)_mm512_cvtph_ps((__m256i)s);
#else
	vw h = (vw)widen_halves(s), b = (h & 0x7fff) << 13;
	b = (vw)((vf)b * 0x1p112f);
	b |= (vw)((h & 0x7c00) == 0x7c00) & 0x7f800000;
	return (vf)(b | (h & 0x8000) << 16);
#endif
}

FN void decode_f16(float *dst, const unsigned char *src, len n)
{
	len i = 0;
	for (; i + VL <= n; i += VL)
		store(dst + i, of_halves(src + 2 * i));
	for (; i < n; i++)
		dst[i] = of_half(src + 2 * i);
}

FN void decode_bf16(float *dst, const unsigned char *src, len n)
{
	len i = 0;
	for (; i + VL <= n; i += VL) {
		vhalf s;
		memcpy(&s, src + 2 * i, sizeof s);
		store(dst + i, (vf)(widen_halves(s) << 16));
	}
	for (; i < n; i++) {
		unsigned b = (unsigned)(src[2 * i] | src[2 * i + 1] << 8) << 16;
		memcpy(dst + i, &b, 4);
	}
}

FN void decode_q8_0(float *dst, const unsigned char *src, len n)
{
	for (; n > 0; n -= 32, dst += 32, src += 34) {
		vf d = splat(of_half(src));
UNROLL
		for (int i = 0; i < 32; i += VL)
			store(dst + i, d * of_signed(load_bytes(src + 2 + i)));
	}
}

// Scales and mins of 6 bits, eight of each in 12 bytes.
INLINE void six_bits(const unsigned char *in, int j, int *scale, int *min)
{
	if (j < 4) {
		*scale = in[j] & 63;
		*min = in[j + 4] & 63;
	} else {
		*scale = (in[j + 4] & 15) | in[j - 4] >> 6 << 4;
		*min = in[j + 4] >> 4 | in[j] >> 6 << 4;
	}
}

// Q4_K and, with a fifth bit each, Q5_K: d, dmin, scales and mins, high bits, nibbles.
INLINE void decode_min(float *dst, const unsigned char *src, len n, const int fifth)
{
	for (; n > 0; n -= 256, dst += 256, src += fifth ? 176 : 144) {
		float d = of_half(src), dmin = of_half(src + 2);
		const unsigned char *high = src + 16, *nibbles = fifth ? src + 48 : src + 16;
		for (int j = 0; j < 8; j++) {
			int s, m;
			six_bits(src + 4, j, &s, &m);
			vf step = splat(d * (float)s), base = splat(dmin * (float)m);
UNROLL
			for (int i = 0; i < 32; i += VL) {
				vi code = widen_bytes(load_bytes(nibbles + j / 2 * 32 + i)) >> (j & 1) * 4 & 15;
				if (fifth)
					code |= (widen_bytes(load_bytes(high + i)) >> j & 1) << 4;
				vf x = step * __builtin_convertvector(code, vf);
				ROUNDED(x);
				store(dst + j * 32 + i, x - base);
			}
		}
	}
}

FN void decode_q4_k(float *dst, const unsigned char *src, len n) { decode_min(dst, src, n, 0); }
FN void decode_q5_k(float *dst, const unsigned char *src, len n) { decode_min(dst, src, n, 1); }

FN void decode_q6_k(float *dst, const unsigned char *src, len n)
{
	for (; n > 0; n -= 256, dst += 256, src += 210) {
		float d = of_half(src + 208);
		for (int j = 0; j < 16; j++) {
			int half = j / 8, k = j % 8;
			const unsigned char *low = src + half * 64 + k % 4 * 16, *high = src + 128 + half * 32 + k % 2 * 16;
			vf step = splat(d * (float)(signed char)src[192 + j]);
UNROLL
			for (int i = 0; i < 16; i += VL) {
				vi code = (widen_bytes(load_bytes(low + i)) >> (k / 4 * 4) & 15) | (widen_bytes(load_bytes(high + i)) >> (k / 2 * 2) & 3) << 4;
				store(dst + j * 16 + i, step * __builtin_convertvector(code - 32, vf));
			}
		}
	}
}

FN void ISA(decode)(int format, float *dst, const unsigned char *src, len n)
{
	switch (format) {
	case SO8T_F16: decode_f16(dst, src, n); break;
	case SO8T_BF16: decode_bf16(dst, src, n); break;
	case SO8T_Q8_0: decode_q8_0(dst, src, n); break;
	case SO8T_Q4_K: decode_q4_k(dst, src, n); break;
	case SO8T_Q5_K: decode_q5_k(dst, src, n); break;
	case SO8T_Q6_K: decode_q6_k(dst, src, n); break;
	}
}

#define PART 1024 // columns that are decoded at a time: four rows of them stay in the first cache; a multiple of every block

// few_rows on a stored B, whose rows are bytes apart: the same sums in the same order as on its numbers.
INLINE void stored_dots(const int rows, len n, len k, const float *a, len ars, int format, const unsigned char *b, len bytes, float beta, float *c, len ldc)
{
	float part[4][PART] __attribute__((aligned(64)));
	len part_bytes = k > PART ? bytes * PART / k : 0; // of PART numbers: k has whole blocks
	for (len j = 0; j < n; j += 4) {
		const int w = n - j < 4 ? (int)(n - j) : 4;
		vf acc[FEW][4];
UNROLL
		for (int i = 0; i < rows; i++)
UNROLL
			for (int v = 0; v < 4; v++)
				acc[i][v] = (vf){0};
		len from = 0, m = 0, q = 0; // the part's first column, its columns, those done
		for (;; from += PART) {
			m = k - from < PART ? k - from : PART;
			for (int v = 0; v < 4; v++)
				ISA(decode)(format, part[v], b + (j + (v < w ? v : 0)) * bytes + from / PART * part_bytes, m);
			for (q = 0; q + VL <= m; q += VL) {
				vf y[4];
UNROLL
				for (int v = 0; v < 4; v++)
					y[v] = *(const vf *)(part[v] + q);
UNROLL
				for (int i = 0; i < rows; i++) {
					vf x = load(a + i * ars + from + q);
UNROLL
					for (int v = 0; v < 4; v++)
						acc[i][v] += x * y[v];
				}
			}
			if (from + m >= k)
				break;
		}
		for (int i = 0; i < rows; i++)
			for (int v = 0; v < w; v++) {
				float s = sum_lanes(acc[i][v]), *at = c + i * ldc + j + v;
				for (len r = q; r < m; r++)
					s = MADD(a[i * ars + from + r], part[v][r], s);
				*at = beta == 0 ? s : MADD(*at, beta, s);
			}
	}
}

FN void ISA(few_rows_stored)(len m, len n, len k, const float *a, len ars, int format, const unsigned char *b, len bytes, float beta, float *c, len ldc)
{
	switch (m) {
	case 1: stored_dots(1, n, k, a, ars, format, b, bytes, beta, c, ldc); break;
	case 2: stored_dots(2, n, k, a, ars, format, b, bytes, beta, c, ldc); break;
	case 3: stored_dots(3, n, k, a, ars, format, b, bytes, beta, c, ldc); break;
	case 4: stored_dots(4, n, k, a, ars, format, b, bytes, beta, c, ldc); break;
	}
}
