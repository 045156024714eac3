// Causal attention inside segments, tile by tile: the matrix of scores never exists. Grouped queries, an optional window, and for decoding
// a past. Backward takes two kernels instead of sums with atomics, so that the order of every sum is fixed.
#include "product.cuh"

// A tile is a range of rows of one segment: the segment's first row and length, and where in it the tile begins.
struct tile { int start, length, first; };

struct attention_shape {
	int heads, kv_heads, dim, window;
	float scale;
};

// visible: may the query at position q see the key at position k?
__device__ inline bool visible(int q, int k, int window) { return k <= q && (window == 0 || k > q - window); }

// The first key that the query at position q can see, rounded down to whole tiles of n.
__device__ inline int first_key(int q, int window, int n) { return window > 0 && q >= window ? (q - window + 1) / n * n : 0; }

// Rows in shared memory are a little longer than D, so that the lanes of a warp meet different banks.
template <class T> struct padding { enum { of = 16 / (int)sizeof(T) }; };

// attend works on a tile of 16 queries a warp, BN keys at a time. k and v have rows ldk apart; the query of row r of its segment has the
// position past + r. lse may be null. Without tiles there is one segment, of length rows from row 0 on.
template <class T, int D, int WARPS, int BN>
__device__ inline void attend(float *out, float *lse, const float *q, int ldq, const float *k, const float *v, int ldk, const tile *tiles,
	int length, attention_shape s, int past)
{
	const int BM = 16 * WARPS, LD = D + padding<T>::of, LP = BN + padding<T>::of;
	T *qs = (T *)dynamic_shared, *ks = qs + BM * LD, *vs = ks + BN * LD, *ps = vs + BN * LD;
	shared_until(ps + BM * LP);
	tile t = {0, length, (int)blockIdx.x * BM};
	if (tiles)
		t = tiles[blockIdx.x];
	int head = blockIdx.y, kv = head / (s.heads / s.kv_heads), warp = threadIdx.x >> 5, valid = t.length - t.first;
	int pos0 = past + t.first, keys = min(past + t.length, pos0 + BM);
	long long row0 = t.start + t.first;
	lane_place p = place();
	load_tile<T, D>(qs, LD, q + row0 * ldq + head * s.dim, ldq, BM, valid, s.dim);
	qs += warp * 16 * LD;
	ps += warp * 16 * LP;
	float o[D / 8][4] = {}, top[2] = {LOWEST, LOWEST}, total[2] = {0, 0};
	for (int n0 = first_key(pos0, s.window, BN); n0 < keys; n0 += BN) {
		long long at = (long long)(t.start + n0) * ldk + kv * s.dim;
		__syncthreads(); // the tiles of the round before are still read
		load_tile<T, D>(ks, LD, k + at, ldk, BN, past + t.length - n0, s.dim);
		load_tile<T, D>(vs, LD, v + at, ldk, BN, past + t.length - n0, s.dim);
		__syncthreads();
		float sc[BN / 8][4] = {};
		product<BN / 8, D, true>(sc, qs, LD, ks, LD);
		float most[2] = {top[0], top[1]}, factor[2];
		for (int j = 0; j < BN / 8; j++)
			for (int i = 0; i < 4; i++) {
				int pos = pos0 + warp * 16 + p.g + i / 2 * 8, key = n0 + 8 * j + 2 * p.t + i % 2;
				sc[j][i] = visible(pos, key, s.window) ? sc[j][i] * s.scale : LOWEST;
				most[i / 2] = fmaxf(most[i / 2], sc[j][i]);
			}
		for (int i = 0; i < 2; i++) { // the four lanes of a row agree
			most[i] = fmaxf(most[i], __shfl_xor_sync(ALL_LANES, most[i], 1));
			most[i] = fmaxf(most[i], __shfl_xor_sync(ALL_LANES, most[i], 2));
			factor[i] = most[i] == LOWEST ? 1 : expf(top[i] - most[i]);
			top[i] = most[i];
			total[i] *= factor[i];
		}
		for (int j = 0; j < BN / 8; j++)
			for (int i = 0; i < 4; i++) {
				sc[j][i] = sc[j][i] == LOWEST ? 0 : expf(sc[j][i] - top[i / 2]);
				total[i / 2] += sc[j][i];
			}
		for (int j = 0; j < D / 8; j++)
			for (int i = 0; i < 4; i++)
				o[j][i] *= factor[i / 2];
		__syncwarp();
		keep<T, BN / 8>(ps, LP, sc);
		__syncwarp();
		product<D / 8, BN, false>(o, ps, LP, vs, LD);
	}
	for (int i = 0; i < 2; i++) {
		total[i] += __shfl_xor_sync(ALL_LANES, total[i], 1);
		total[i] += __shfl_xor_sync(ALL_LANES, total[i], 2);
		int r = warp * 16 + p.g + 8 * i;
		if (lse && p.t == 0 && r < valid)
			lse[(row0 + r) * s.heads + head] = top[i] + logf(total[i]);
	}
	for (int j = 0; j < D / 8; j++)
		for (int i = 0; i < 4; i++)
			o[j][i] /= total[i / 2];
	store_rows<D / 8>(out + ((row0 + warp * 16) * s.heads + head) * s.dim, s.heads * s.dim, o, valid - warp * 16, s.dim);
}

// delta[row, head] = gout · out: what the softmax's gradient subtracts. A warp for each.
KERNEL attention_delta(float *delta, const float *gout, const float *out, int n, int dim)
{
	int i = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
	float sum = 0;
	for (int c = threadIdx.x & 31; c < dim && i < n; c += 32)
		sum += gout[(long long)i * dim + c] * out[(long long)i * dim + c];
	sum = warp_sum(sum);
	if (i < n && (threadIdx.x & 31) == 0)
		delta[i] = sum;
}

// attend_back_q writes the gradient of a tile of queries. q, k, v and their gradients have rows ld apart.
template <class T, int D, int WARPS, int BN>
__device__ inline void attend_back_q(float *gq, const float *gout, const float *lse, const float *delta, const float *q, const float *k,
	const float *v, int ld, const tile *tiles, attention_shape s)
{
	const int BM = 16 * WARPS, LD = D + padding<T>::of, LP = BN + padding<T>::of;
	T *qs = (T *)dynamic_shared, *gs = qs + BM * LD, *ks = gs + BM * LD, *vs = ks + BN * LD, *ps = vs + BN * LD;
	shared_until(ps + BM * LP);
	tile t = tiles[blockIdx.x];
	int head = blockIdx.y, kv = head / (s.heads / s.kv_heads), warp = threadIdx.x >> 5, valid = t.length - t.first;
	int keys = min(t.length, t.first + BM), ldo = s.heads * s.dim;
	long long row0 = t.start + t.first;
	lane_place p = place();
	load_tile<T, D>(qs, LD, q + row0 * ld + head * s.dim, ld, BM, valid, s.dim);
	load_tile<T, D>(gs, LD, gout + row0 * ldo + head * s.dim, ldo, BM, valid, s.dim);
	float l[2], dl[2];
	for (int i = 0; i < 2; i++) {
		int r = warp * 16 + p.g + 8 * i;
		l[i] = r < valid ? lse[(row0 + r) * s.heads + head] : 0;
		dl[i] = r < valid ? delta[(row0 + r) * s.heads + head] : 0;
	}
	qs += warp * 16 * LD;
	gs += warp * 16 * LD;
	ps += warp * 16 * LP;
	float g[D / 8][4] = {};
	for (int n0 = first_key(t.first, s.window, BN); n0 < keys; n0 += BN) {
		long long at = (long long)(t.start + n0) * ld + kv * s.dim;
		__syncthreads();
		load_tile<T, D>(ks, LD, k + at, ld, BN, t.length - n0, s.dim);
		load_tile<T, D>(vs, LD, v + at, ld, BN, t.length - n0, s.dim);
		__syncthreads();
		float sc[BN / 8][4] = {}, dp[BN / 8][4] = {};
		product<BN / 8, D, true>(sc, qs, LD, ks, LD);
		product<BN / 8, D, true>(dp, gs, LD, vs, LD);
		for (int j = 0; j < BN / 8; j++)
			for (int i = 0; i < 4; i++) {
				int r = warp * 16 + p.g + i / 2 * 8, key = n0 + 8 * j + 2 * p.t + i % 2;
				bool seen = r < valid && visible(t.first + r, key, s.window);
				sc[j][i] = seen ? expf(sc[j][i] * s.scale - l[i / 2]) * (dp[j][i] - dl[i / 2]) * s.scale : 0;
			}
		__syncwarp();
		keep<T, BN / 8>(ps, LP, sc);
		__syncwarp();
		product<D / 8, BN, false>(g, ps, LP, ks, LD);
	}
	store_rows<D / 8>(gq + (row0 + warp * 16) * ld + head * s.dim, ld, g, valid - warp * 16, s.dim);
}

// attend_back_kv writes the gradients of a tile of keys and values: over the heads that read them, and over BN queries at a time.
template <class T, int D, int WARPS, int BN>
__device__ inline void attend_back_kv(float *gk, float *gv, const float *gout, const float *lse, const float *delta, const float *q,
	const float *k, const float *v, int ld, const tile *tiles, attention_shape s)
{
	const int BM = 16 * WARPS, LD = D + padding<T>::of, LP = BN + padding<T>::of;
	T *ks = (T *)dynamic_shared, *vs = ks + BM * LD, *qs = vs + BM * LD, *gs = qs + BN * LD, *ps = gs + BN * LD;
	float *ls = (float *)(ps + BM * LP), *ds = ls + BN;
	shared_until(ds + BN);
	tile t = tiles[blockIdx.x];
	int kv = blockIdx.y, group = s.heads / s.kv_heads, warp = threadIdx.x >> 5, valid = t.length - t.first, ldo = s.heads * s.dim;
	int queries = s.window > 0 ? min(t.length, t.first + BM - 1 + s.window) : t.length;
	long long row0 = t.start + t.first;
	lane_place p = place();
	load_tile<T, D>(ks, LD, k + row0 * ld + kv * s.dim, ld, BM, valid, s.dim);
	load_tile<T, D>(vs, LD, v + row0 * ld + kv * s.dim, ld, BM, valid, s.dim);
	ks += warp * 16 * LD;
	vs += warp * 16 * LD;
	ps += warp * 16 * LP;
	float dk[D / 8][4] = {}, dv[D / 8][4] = {};
	for (int head = kv * group; head < (kv + 1) * group; head++)
		for (int n0 = t.first; n0 < queries; n0 += BN) {
			long long at = t.start + n0;
			__syncthreads();
			load_tile<T, D>(qs, LD, q + at * ld + head * s.dim, ld, BN, t.length - n0, s.dim);
			load_tile<T, D>(gs, LD, gout + at * ldo + head * s.dim, ldo, BN, t.length - n0, s.dim);
			IN_ROW(i, BN) {
				bool in = n0 + i < t.length;
				ls[i] = in ? lse[(at + i) * s.heads + head] : 0;
				ds[i] = in ? delta[(at + i) * s.heads + head] : 0;
			}
			__syncthreads();
			float sc[BN / 8][4] = {}, dp[BN / 8][4] = {}; // rows are keys, columns queries
			product<BN / 8, D, true>(sc, ks, LD, qs, LD);
			product<BN / 8, D, true>(dp, vs, LD, gs, LD);
			for (int j = 0; j < BN / 8; j++)
				for (int i = 0; i < 4; i++) {
					int key = t.first + warp * 16 + p.g + i / 2 * 8, c = 8 * j + 2 * p.t + i % 2;
					bool seen = n0 + c < t.length && visible(n0 + c, key, s.window);
					sc[j][i] = seen ? expf(sc[j][i] * s.scale - ls[c]) : 0;
					dp[j][i] = sc[j][i] * (dp[j][i] - ds[c]) * s.scale;
				}
			__syncwarp();
			keep<T, BN / 8>(ps, LP, sc);
			__syncwarp();
			product<D / 8, BN, false>(dv, ps, LP, gs, LD);
			__syncwarp();
			keep<T, BN / 8>(ps, LP, dp);
			__syncwarp();
			product<D / 8, BN, false>(dk, ps, LP, qs, LD);
		}
	long long at = (row0 + warp * 16) * ld + kv * s.dim;
	store_rows<D / 8>(gk + at, ld, dk, valid - warp * 16, s.dim);
	store_rows<D / 8>(gv + at, ld, dv, valid - warp * 16, s.dim);
}

// The kernels by number type and head size (a smaller head is filled up with zeros): name_type_size. Tiles have 64 rows in bf16, on tensor
// cores, and 32 in float32.
#define ATTENTION(TYPE, T, D, WARPS, BN, BN_BACK)                                                                                        \
	KERNEL __launch_bounds__(32 * WARPS) attend_##TYPE##_##D(float *out, float *lse, const float *q, int ldq, const float *k,             \
		const float *v, int ldk, const tile *tiles, int length, int heads, int kv_heads, int dim, int window, float scale, int past)       \
	{                                                                                                                                     \
		attention_shape s = {heads, kv_heads, dim, window, scale};                                                                         \
		attend<T, D, WARPS, BN>(out, lse, q, ldq, k, v, ldk, tiles, length, s, past);                                                      \
	}                                                                                                                                     \
	KERNEL __launch_bounds__(32 * WARPS) attend_back_q_##TYPE##_##D(float *gq, const float *gout, const float *lse, const float *delta,   \
		const float *q, const float *k, const float *v, int ld, const tile *tiles, int heads, int kv_heads, int dim, int window,           \
		float scale)                                                                                                                       \
	{                                                                                                                                     \
		attention_shape s = {heads, kv_heads, dim, window, scale};                                                                         \
		attend_back_q<T, D, WARPS, BN_BACK>(gq, gout, lse, delta, q, k, v, ld, tiles, s);                                                  \
	}                                                                                                                                     \
	KERNEL __launch_bounds__(32 * WARPS) attend_back_kv_##TYPE##_##D(float *gk, float *gv, const float *gout, const float *lse,           \
		const float *delta, const float *q, const float *k, const float *v, int ld, const tile *tiles, int heads, int kv_heads, int dim,   \
		int window, float scale)                                                                                                           \
	{                                                                                                                                     \
		attention_shape s = {heads, kv_heads, dim, window, scale};                                                                         \
		attend_back_kv<T, D, WARPS, BN_BACK>(gk, gv, gout, lse, delta, q, k, v, ld, tiles, s);                                             \
	}

ATTENTION(f32, float, 32, 2, 16, 16)
ATTENTION(f32, float, 64, 2, 16, 16)
ATTENTION(f32, float, 128, 2, 16, 16)
#if defined(SO8T_HOST) || __CUDA_ARCH__ >= 800 // older cards have no bf16
ATTENTION(bf16, bf16, 32, 4, 64, 32)
ATTENTION(bf16, bf16, 64, 4, 64, 32)
ATTENTION(bf16, bf16, 128, 4, 64, 32)
#endif
