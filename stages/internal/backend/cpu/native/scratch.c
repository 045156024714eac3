#include <stdint.h>
#include <stdlib.h>
#include "kernels.h"

static _Thread_local struct { float *raw; len n; } slots[2];

float *so8t_scratch(int slot, len n)
{
	if (slots[slot].n < n) {
		free(slots[slot].raw);
		slots[slot].raw = malloc((size_t)n * sizeof(float) + 64);
		if (!slots[slot].raw)
			abort();
		slots[slot].n = n;
	}
	return (float *)(((uintptr_t)slots[slot].raw + 63) & ~(uintptr_t)63);
}
