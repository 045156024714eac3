// Stands in for CUDA C++ when the kernels are compiled for the host: the words of the language, and a block of threads as fibres that take
// turns. Blocks run one after the other. A barrier that not all threads of a block (or warp) reach is found and reported.
#pragma once
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>

#define SO8T_HOST
#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(n)

struct uint3 { unsigned x, y, z; };
struct float4 { float x, y, z, w; };

static uint3 threadIdx, blockIdx, blockDim, gridDim;

static inline int min(int a, int b) { return a < b ? a : b; }

namespace host {

enum { MOST_THREADS = 1024, STACK = 128 << 10, MOST_SHARED = 232448 };

struct fibre {
	jmp_buf here;
	ucontext_t first; // where it starts, once
	bool started, done;
};

struct barrier { int arrived; unsigned round; };

static fibre fibres[MOST_THREADS];
static jmp_buf scheduler;
static int current;
static void (*body)(void **);
static void **arguments;
static unsigned events; // releases of barriers and ends of threads: without any there is no progress
static barrier block, warps[MOST_THREADS / 32];
static size_t shared_bytes;
static bool too_little_shared;

static void yield()
{
	if (!_setjmp(fibres[current].here))
		_longjmp(scheduler, 1);
}

// A fibre lives as long as the process, and runs one thread of block after block.
static void entry()
{
	for (;;) {
		body(arguments);
		fibres[current].done = true;
		events++;
		yield();
	}
}

static void resume(int i)
{
	fibre *f = &fibres[i];
	current = i;
	threadIdx.x = i;
	if (_setjmp(scheduler))
		return;
	if (f->started)
		_longjmp(f->here, 1);
	f->started = true;
	getcontext(&f->first);
	f->first.uc_stack.ss_sp = malloc(STACK);
	f->first.uc_stack.ss_size = STACK;
	makecontext(&f->first, entry, 0);
	setcontext(&f->first);
}

static void wait(barrier *b, int threads)
{
	unsigned round = b->round;
	if (++b->arrived == threads) {
		b->arrived = 0;
		b->round++;
		events++;
		return;
	}
	while (b->round == round)
		yield();
}

static void wait_warp() { wait(&warps[threadIdx.x / 32], 32); }

// run_block runs the threads of one block and says whether all came to their end.
static bool run_block()
{
	for (unsigned i = 0; i < blockDim.x; i++)
		fibres[i].done = false;
	block = {};
	memset(warps, 0, sizeof warps);
	for (unsigned ended = 0; ended < blockDim.x;) {
		unsigned before = events;
		ended = 0;
		for (unsigned i = 0; i < blockDim.x; i++) {
			if (!fibres[i].done)
				resume(i);
			ended += fibres[i].done;
		}
		if (events == before)
			return false;
	}
	return true;
}

// What the lanes of a warp hand each other.
static union { double shuffled; struct { unsigned a[4], b[2]; } tiles; } lanes[MOST_THREADS];

} // namespace host

alignas(16) static float4 dynamic_shared[host::MOST_SHARED / sizeof(float4)];

#define shared_until(end) \
	host::too_little_shared |= (size_t)((char *)(end) - (char *)dynamic_shared) > host::shared_bytes

static inline void __syncthreads() { host::wait(&host::block, blockDim.x); }
static inline void __syncwarp() { host::wait_warp(); }

template <class T> static inline T __shfl_xor_sync(unsigned, T v, int with)
{
	host::lanes[threadIdx.x].shuffled = v; // float and double pass through unchanged
	host::wait_warp();
	v = (T)host::lanes[threadIdx.x ^ with].shuffled;
	host::wait_warp();
	return v;
}

static inline float half_of(unsigned pair, int high)
{
	unsigned u = high ? pair & 0xffff0000u : pair << 16;
	float f;
	memcpy(&f, &u, 4);
	return f;
}

// The tensor cores' product, from the registers in which PTX's description of mma.m16n8k16 places the numbers.
static inline void mma(float *d, const unsigned *a, const unsigned *b)
{
	auto *own = &host::lanes[threadIdx.x].tiles;
	memcpy(own->a, a, sizeof own->a);
	memcpy(own->b, b, sizeof own->b);
	host::wait_warp();
	const auto *lanes = &host::lanes[threadIdx.x & ~31];
	int lane = threadIdx.x & 31;
	for (int i = 0; i < 4; i++) {
		int row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
		for (int k = 0; k < 16; k++) {
			unsigned x = lanes[row % 8 * 4 + k % 8 / 2].tiles.a[row / 8 + k / 8 * 2];
			unsigned y = lanes[col * 4 + k % 8 / 2].tiles.b[k / 8];
			d[i] += half_of(x, k % 2) * half_of(y, k % 2);
		}
	}
	host::wait_warp();
}
