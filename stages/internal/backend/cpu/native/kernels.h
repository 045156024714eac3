// The kernels in C, one table per instruction set. All pointers are to float32, all strides and sizes count floats.
#ifndef SO8T_KERNELS_H
#define SO8T_KERNELS_H

typedef long long len;

#define SO8T_FEW 4

// Formats of stored numbers, with their numbers in a GGUF file.
enum { SO8T_F16 = 1, SO8T_Q8_0 = 8, SO8T_Q4_K = 12, SO8T_Q5_K = 13, SO8T_Q6_K = 14, SO8T_BF16 = 30 };

// Storage of gemm_stored's B.
enum { SO8T_PLAIN, SO8T_BRAIN, SO8T_CODES };

// One attention unit, as the Go type heads.
struct heads {
	const float *q, *k, *v, *gout;
	float *out, *lse, *gq, *gk, *gv;
	len ld, ldo, ldl, rows, dim, group, window;
	float scale;
};

struct adamw {
	float grad_scale, shrink, beta1, beta2, new1, new2, rate, inv_root2, eps;
};

struct kernels {
	const char *name;
	int panel; // columns of one tile of gemm
	void (*gemm)(len m, len n, len k, float alpha, const float *a, len ars, len acs, const float *b, len brs, len bcs, float beta, float *c, len ldc);
	// the same on numbers in another storage, whose rows have scales when they are int8; alpha and acs are 1
	void (*gemm_stored)(len m, len n, len k, const float *a, len ars, int kind, const void *b, const float *scales, len brs, len bcs, float beta, float *c, len ldc);
	// m <= SO8T_FEW rows; element (q, j) of B at b[q + j*bcs]
	void (*few_rows)(len m, len n, len k, float alpha, const float *a, len ars, const float *b, len bcs, float beta, float *c, len ldc);
	void (*axpby)(float *dst, float alpha, const float *x, float beta, const float *y, len n);
	void (*dropout)(float *d, const float *x, len rows, len cols, unsigned long long key, unsigned long long id, unsigned threshold, float keep, float beta);
	void (*rmsnorm)(float *y, float *inv, const float *x, const float *gain, len rows, len cols, float eps);
	void (*rmsnorm_back)(float *gx, const float *gy, const float *x, const float *gain, const float *inv, len rows, len cols, float beta);
	void (*gain_back)(float *ggain, const float *gy, const float *x, const float *inv, len rows, len cols, len from, len to, float beta);
	void (*rope)(float *dst, const float *src, const int *positions, const float *cos, const float *sin, len rows, len width, len turned, len dim, len rotary, int inverse);
	void (*attend)(const struct heads *);
	void (*attend_back)(const struct heads *);
	void (*swiglu)(float *y, const float *gu, len rows, len width);
	void (*swiglu_back)(float *ggu, const float *gy, const float *gu, len rows, len width);
	void (*rotate)(float *y, const float *x, const float *r, len rows, len blocks, int inverse);
	void (*rotate_grad)(float *gr, const float *x, const float *gy, len rows, len cols, len from, len to);
	double (*softmax_nll)(float *logits, len n, len target, float scale, int grad);
	double (*sum_squares)(const float *x, len n);
	double (*second_difference)(float *g, const float *h, len rows, len cols, float weight);
	void (*adamw)(float *p, const float *g, float *m, float *v, len n, const struct adamw *c);
	// numbers in blocks, see blocks.h; n is a multiple of the format's block
	void (*decode)(int format, float *dst, const unsigned char *src, len n);
	// few_rows with alpha = 1 on rows of B that are stored in blocks, bytes apart
	void (*few_rows_stored)(len m, len n, len k, const float *a, len ars, int format, const unsigned char *b, len bytes, float beta, float *c, len ldc);
	void (*attend_row)(float *out, const float *q, const float *k, const float *v, len ld, len n, len dim, float scale, float *scores);
};

extern const struct kernels so8t_kernels_plain;
#if defined(__x86_64__)
extern const struct kernels so8t_kernels_avx2, so8t_kernels_avx512;
#endif

// A scratch area of the calling thread, at least n floats, aligned to a cache line. slot 0: gemm, 1: attention.
float *so8t_scratch(int slot, len n);

#endif
