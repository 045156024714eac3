// The same bits as DropoutRow and DropoutHash of package backend.
INLINE unsigned long long mix64(unsigned long long z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

typedef unsigned vw __attribute__((vector_size(VB)));

INLINE vf dropped(vf x, vw channel, unsigned low, unsigned high, unsigned threshold, float keep)
{
	vw h = channel * 0x9e3779b9u + low;
	h = (h ^ h >> 16) * 0x85ebca6bu;
	h ^= high;
	h = (h ^ h >> 13) * 0xc2b2ae35u;
	h ^= h >> 16;
	return (vf)((vi)(h >= threshold) & (vi)(x * keep));
}

FN void ISA(dropout)(float *d, const float *x, len rows, len cols, unsigned long long key, unsigned long long id, unsigned threshold, float keep, float beta)
{
	vw first;
	for (unsigned i = 0; i < VL; i++)
		first[i] = i;
	for (len r = 0; r < rows; r++, d += cols, x += cols) {
		unsigned long long row = mix64(mix64(key ^ id * 0x9e3779b97f4a7c15ull) ^ (unsigned long long)r);
		unsigned low = (unsigned)row, high = (unsigned)(row >> 32);
		len c = 0;
		for (; c + VL <= cols; c += VL) {
			vf v = dropped(load(x + c), first + (unsigned)c, low, high, threshold, keep);
			if (beta != 0)
				v += load(d + c) * beta;
			store(d + c, v);
		}
		if (c < cols) {
			vf v = dropped(load_part(x + c, cols - c), first + (unsigned)c, low, high, threshold, keep);
			if (beta != 0)
				v += load_part(d + c, cols - c) * beta;
			store_part(d + c, v, cols - c);
		}
	}
}
