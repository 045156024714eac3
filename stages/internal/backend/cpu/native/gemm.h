// Matrix product after Goto and BLIS: blocks of B (KC x NC) and A (MC x KC) are packed into panels, a micro-kernel keeps an MR x NR tile of C in
// registers. Every element of C is a sum over k in blocks of KC, first to last, one fused multiply-add at a time, in whatever tile it lies: the bits
// do not depend on how the caller cuts C.
#define NR (NRV * VL)
#define MP ((MR + VL - 1) / VL * VL) // stride of a packed strip of A
#define KC 256
#define NC (NR * 16)
#define MC (MR * 12)

// rows and nv are literals at every call; everything about row i is written out by EACH_ROW and folded away for i >= rows, so that acc lives in registers
// with every compiler. Rows of A are addressed as three from one pointer, which x86's addressing modes reach; a packed strip has ars = 1.
#if MR == 14
#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)
#elif MR == 8
#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#elif MR == 6
#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5)
#elif MR == 4
#define EACH_ROW(X) X(0) X(1) X(2) X(3)
#endif

#define ROW_FMA(i) \
	if (i < rows) { \
		float x = p[i / 3][i % 3 * ars]; \
		acc[i][0] += b0 * x; \
		if (nv > 1) \
			acc[i][1 % NRV] += b1 * x; \
		if (nv > 2) \
			acc[i][2 % NRV] += b2 * x; \
	}
#define ROW_STEP(i) \
	if (i < rows && i % 3 == 0) \
		p[i / 3] += acs;
#define ROW_START(i) \
	if (i < rows && i % 3 == 0) \
		p[i / 3] = a + i * ars;
#define ROW_PUT(i) \
	if (i < rows) { \
		put(c + i * ldc, acc[i][0], alpha, beta); \
		if (nv > 1) \
			put(c + i * ldc + VL, acc[i][1 % NRV], alpha, beta); \
		if (nv > 2) \
			put(c + i * ldc + 2 * VL, acc[i][2 % NRV], alpha, beta); \
	}

INLINE void put(float *c, vf x, float alpha, float beta)
{
	x *= alpha;
	if (beta != 0)
		x += load(c) * beta;
	store(c, x);
}

INLINE void tile(const int rows, const int nv, len k, const float *restrict a, len ars, len acs, const float *restrict b, float alpha, float beta, float *restrict c, len ldc)
{
	vf acc[MR][NRV] = {{{0}}};
	const float *p[(MR + 2) / 3];
	EACH_ROW(ROW_START)
	for (len q = 0; q < k; q++, b += NR) {
		vf b0 = *(const vf *)b, b1 = {0}, b2 = {0};
		if (nv > 1)
			b1 = *(const vf *)(b + VL);
		if (nv > 2)
			b2 = *(const vf *)(b + 2 * VL);
		EACH_ROW(ROW_FMA)
		EACH_ROW(ROW_STEP)
	}
	EACH_ROW(ROW_PUT)
}

#define TILE_CASE(r) \
	case r: tile(r, NRV, k, a, ars, acs, b, alpha, beta, c, ldc); break;
#define TILE_CASE1(r) \
	case r: tile(r, 1, k, a, ars, acs, b, alpha, beta, c, ldc); break;
#if MR == 14
#define ALL_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif MR == 8
#define ALL_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#elif MR == 6
#define ALL_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define ALL_ROWS(X) X(1) X(2) X(3) X(4)
#endif

__attribute__((noinline)) FN void tile_packed(int rows, len k, const float *a, const float *b, float alpha, float beta, float *c, len ldc)
{
	const len ars = 1, acs = MP;
	switch (rows) { ALL_ROWS(TILE_CASE) }
}

__attribute__((noinline)) FN void tile_packed_narrow(int rows, len k, const float *a, const float *b, float alpha, float beta, float *c, len ldc)
{
	const len ars = 1, acs = MP;
	switch (rows) { ALL_ROWS(TILE_CASE1) }
}

__attribute__((noinline)) FN void tile_rows(int rows, len k, const float *a, len ars, const float *b, float alpha, float beta, float *c, len ldc)
{
	const len acs = 1;
	switch (rows) { ALL_ROWS(TILE_CASE) }
}

__attribute__((noinline)) FN void tile_rows_narrow(int rows, len k, const float *a, len ars, const float *b, float alpha, float beta, float *c, len ldc)
{
	const len acs = 1;
	switch (rows) { ALL_ROWS(TILE_CASE1) }
}

// One tile of rows x cols (cols <= NR). Tiles that are not whole vectors wide are computed beside C and copied.
INLINE void put_tile(int packed, int rows, len cols, len k, const float *a, len ars, const float *b, float alpha, float beta, float *c, len ldc)
{
	float edge[MR * NR] __attribute__((aligned(64)));
	int narrow = NRV > 1 && cols <= VL;
	int whole = cols == NR || (narrow && cols == VL);
	float *to = whole ? c : edge;
	len ld = whole ? ldc : NR;
	float keep = whole ? beta : 0;
	if (packed) {
		if (narrow)
			tile_packed_narrow(rows, k, a, b, alpha, keep, to, ld);
		else
			tile_packed(rows, k, a, b, alpha, keep, to, ld);
	} else {
		if (narrow)
			tile_rows_narrow(rows, k, a, ars, b, alpha, keep, to, ld);
		else
			tile_rows(rows, k, a, ars, b, alpha, keep, to, ld);
	}
	if (whole)
		return;
	for (int i = 0; i < rows; i++)
		for (len j = 0; j < cols; j++)
			c[i * ldc + j] = beta == 0 ? edge[i * NR + j] : MADD(c[i * ldc + j], beta, edge[i * NR + j]);
}

// Transposes VL vectors: log2(VL) rounds of interleaving the first half with the second.
#if VL == 16
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif VL == 8
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

INLINE void transpose(vf x[VL])
{
	vf y[VL];
UNROLL
	for (int w = 1; w < VL; w *= 2) {
UNROLL
		for (int i = 0; i < VL / 2; i++) {
			y[2 * i] = LOW(x[i], x[i + VL / 2]);
			y[2 * i + 1] = HIGH(x[i], x[i + VL / 2]);
		}
UNROLL
		for (int i = 0; i < VL; i++)
			x[i] = y[i];
	}
}

// What an operand is stored as (kind) is a literal at every call here. A row of int8 codes has a scale.
typedef unsigned short vs __attribute__((vector_size(VB / 2), aligned(2), may_alias));
typedef signed char vc __attribute__((vector_size(VB / 4), aligned(1), may_alias));

INLINE vf load_stored(const int kind, const void *p, len at)
{
	if (kind == SO8T_BRAIN)
		return (vf)(__builtin_convertvector(*(const vs *)((const unsigned short *)p + at), vi) << 16);
	if (kind == SO8T_CODES)
		return __builtin_convertvector(__builtin_convertvector(*(const vc *)((const signed char *)p + at), vi), vf);
	return load((const float *)p + at);
}

INLINE float stored(const int kind, const void *p, len at)
{
	union { unsigned i; float f; } x;
	if (kind == SO8T_BRAIN) {
		x.i = (unsigned)((const unsigned short *)p)[at] << 16;
		return x.f;
	}
	if (kind == SO8T_CODES)
		return ((const signed char *)p)[at];
	return ((const float *)p)[at];
}

// Packs n (<= width) rows of k numbers, rs apart from src[at] on, as dst[q*stride + i]; rows from n to width are zeros. Both strides are multiples of VL.
INLINE void pack_rows(const int kind, float *restrict dst, const void *restrict src, len at, const float *scales, len rs, len n, len k, len width, len stride)
{
	for (len i = 0; i < width; i += VL) {
		len have = n - i < VL ? n - i : VL;
		len q = 0;
		for (; q + VL <= k; q += VL) {
			vf x[VL];
UNROLL
			for (int r = 0; r < VL; r++) {
				x[r] = r < have ? load_stored(kind, src, at + (i + r) * rs + q) : (vf){0};
				if (kind == SO8T_CODES && r < have)
					x[r] *= scales[i + r];
			}
			transpose(x);
UNROLL
			for (int r = 0; r < VL; r++)
				*(vf *)(dst + (q + r) * stride + i) = x[r];
		}
		for (; q < k; q++)
			for (len r = 0; r < VL; r++)
				dst[q * stride + i + r] = r < have ? stored(kind, src, at + (i + r) * rs + q) * (kind == SO8T_CODES ? scales[i + r] : 1) : 0;
	}
}

// Packs k rows of n (<= width) numbers, rs apart from src[at] on, as dst[q*stride + i], filled up with zeros to width.
INLINE void pack_cols(const int kind, float *restrict dst, const void *restrict src, len at, const float *scales, len rs, len n, len k, len width, len stride)
{
	for (len q = 0; q < k; q++) {
		float s = kind == SO8T_CODES ? scales[q] : 1;
		len i = 0;
		if (n == width) { // unrolled, so that no compiler takes it for a memcpy
UNROLL
			for (; i < width; i += VL) {
				vf x = load_stored(kind, src, at + q * rs + i);
				*(vf *)(dst + q * stride + i) = kind == SO8T_CODES ? x * s : x;
			}
		}
		for (; i < n; i++)
			dst[q * stride + i] = stored(kind, src, at + q * rs + i) * s;
		for (; i < width; i++)
			dst[q * stride + i] = 0;
	}
}

// An operand B of k x n numbers: (q, j) is at q*rs + j*cs, one of the strides being 1. scales are those of the stored rows, which run along the other.
struct operand {
	const void *data;
	const float *scales;
	len rs, cs;
};

// Packs B's rows from q on and columns from j on.
INLINE void pack_panels(const int kind, float *dst, const struct operand *b, len q, len j, len n, len k)
{
	for (len end = j + n; j < end; j += NR, dst += k * NR) {
		len w = end - j < NR ? end - j : NR, at = q * b->rs + j * b->cs;
		if (b->cs == 1)
			pack_cols(kind, dst, b->data, at, b->scales + q, b->rs, w, k, NR, NR);
		else
			pack_rows(kind, dst, b->data, at, b->scales + j, b->cs, w, k, NR, NR);
	}
}

__attribute__((noinline)) FN void pack_b(float *dst, int kind, const struct operand *b, len q, len j, len n, len k)
{
	switch (kind) {
	case SO8T_PLAIN: pack_panels(SO8T_PLAIN, dst, b, q, j, n, k); break;
	case SO8T_BRAIN: pack_panels(SO8T_BRAIN, dst, b, q, j, n, k); break;
	case SO8T_CODES: pack_panels(SO8T_CODES, dst, b, q, j, n, k); break;
	}
}

// Strips of at most MR rows, evenly filled: a last strip of one row would run at a fraction of the speed.
INLINE len strip_rows(len m) { len s = (m + MR - 1) / MR; return (m + s - 1) / s; }

FN void pack_a(float *dst, const float *a, len ars, len acs, len m, len k, len h)
{
	for (len i = 0; i < m; i += h, dst += k * MP) {
		len w = m - i < h ? m - i : h;
		if (acs == 1) {
			pack_rows(SO8T_PLAIN, dst, a, i * ars, 0, ars, w, k, MP, MP);
		} else if (m - i >= MP) { // rows of the strip lie side by side: copy whole vectors, what lies after row w is never read
			for (len q = 0; q < k; q++)
				for (len r = 0; r < MP; r += VL)
					*(vf *)(dst + q * MP + r) = load(a + i + r + q * acs);
		} else {
			for (len q = 0; q < k; q++)
				for (len r = 0; r < w; r++)
					dst[q * MP + r] = a[i + r + q * acs];
		}
	}
}

FN void scale_c(len m, len n, float beta, float *c, len ldc)
{
	for (len i = 0; i < m; i++)
		for (len j = 0; j < n; j++)
			c[i * ldc + j] = beta == 0 ? 0 : c[i * ldc + j] * beta;
}

// Up to FEW rows of A against rows of k numbers of B (a weight as it is stored), as in decoding: reading B once bounds the time, packing it would double
// that. rows is a literal at every call.
#define FEW SO8T_FEW
INLINE void dots(const int rows, len n, len k, float alpha, const float *a, len ars, const float *b, len bcs, float beta, float *c, len ldc)
{
	for (len j = 0; j < n; j += 4) {
		const int w = n - j < 4 ? (int)(n - j) : 4;
		const float *p[4];
		for (int v = 0; v < 4; v++)
			p[v] = b + (j + (v < w ? v : 0)) * bcs; // rows past the end repeat the first
		vf acc[FEW][4];
UNROLL
		for (int i = 0; i < rows; i++)
UNROLL
			for (int v = 0; v < 4; v++)
				acc[i][v] = (vf){0};
		len q = 0;
		for (; q + VL <= k; q += VL) {
			vf y[4];
UNROLL
			for (int v = 0; v < 4; v++)
				y[v] = load(p[v] + q);
UNROLL
			for (int i = 0; i < rows; i++) {
				vf x = load(a + i * ars + q);
UNROLL
				for (int v = 0; v < 4; v++)
					acc[i][v] += x * y[v];
			}
		}
		for (int i = 0; i < rows; i++)
			for (int v = 0; v < w; v++) {
				float s = sum_lanes(acc[i][v]), *at = c + i * ldc + j + v;
				for (len r = q; r < k; r++)
					s = MADD(a[i * ars + r], p[v][r], s);
				*at = beta == 0 ? alpha * s : MADD(*at, beta, alpha * s);
			}
	}
}

FN void ISA(few_rows)(len m, len n, len k, float alpha, const float *a, len ars, const float *b, len bcs, float beta, float *c, len ldc)
{
	switch (m) {
	case 1: dots(1, n, k, alpha, a, ars, b, bcs, beta, c, ldc); break;
	case 2: dots(2, n, k, alpha, a, ars, b, bcs, beta, c, ldc); break;
	case 3: dots(3, n, k, alpha, a, ars, b, bcs, beta, c, ldc); break;
	case 4: dots(4, n, k, alpha, a, ars, b, bcs, beta, c, ldc); break;
	}
}

FN void multiply(len m, len n, len k, float alpha, const float *a, len ars, len acs, int kind, const struct operand *b, float beta, float *c, len ldc)
{
	if (k == 0) {
		scale_c(m, n, beta, c, ldc);
		return;
	}
	float *bp = so8t_scratch(0, (len)KC * NC + (len)KC * (MC / MR + 1) * MP);
	float *ap = bp + KC * NC;
	// Few columns do not repay packing A, unless its rows collide in the cache.
	int packed = acs != 1 || (n > NR && (n > 3 * NR || (ars & 1023) == 0));
	for (len j = 0; j < n; j += NC) {
		len nc = n - j < NC ? n - j : NC;
		for (len q = 0; q < k; q += KC) {
			len kc = k - q < KC ? k - q : KC;
			float keep = q == 0 ? beta : 1;
			pack_b(bp, kind, b, q, j, nc, kc);
			for (len i = 0; i < m; i += MC) {
				len mc = m - i < MC ? m - i : MC;
				len h = strip_rows(mc);
				const float *ab = a + i * ars + q * acs;
				if (packed)
					pack_a(ap, ab, ars, acs, mc, kc, h);
				for (len jr = 0; jr < nc; jr += NR)
					for (len ir = 0; ir < mc; ir += h)
						put_tile(packed, mc - ir < h ? mc - ir : h, nc - jr < NR ? nc - jr : NR, kc, packed ? ap + ir / h * kc * MP : ab + ir * ars, ars, bp + jr * kc,
							 alpha, keep, c + (i + ir) * ldc + j + jr, ldc);
			}
		}
	}
}

FN void ISA(gemm)(len m, len n, len k, float alpha, const float *a, len ars, len acs, const float *b, len brs, len bcs, float beta, float *c, len ldc)
{
	struct operand o = {b, 0, brs, bcs};
	multiply(m, n, k, alpha, a, ars, acs, SO8T_PLAIN, &o, beta, c, ldc);
}

// The same bits as widening B first.
FN void ISA(gemm_stored)(len m, len n, len k, const float *a, len ars, int kind, const void *b, const float *scales, len brs, len bcs, float beta, float *c, len ldc)
{
	struct operand o = {b, scales, brs, bcs};
	multiply(m, n, k, 1, a, ars, 1, kind, &o, beta, c, ldc);
}
