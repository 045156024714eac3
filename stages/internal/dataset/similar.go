package dataset

import (
	"cmp"
	"math"
	"slices"
)

// gramSet is the set of a text's character 3-grams, sorted. Three code points of 21 bits
// fit a number without collision; a shorter text is one gram.
type gramSet []uint64

func newGramSet(text string) gramSet {
	var s gramSet
	r := []rune(text)
	if len(r) > 0 && len(r) < 3 {
		r = append(r, 0, 0)[:3]
	}
	for i := 0; i+3 <= len(r); i++ {
		s = append(s, uint64(r[i])<<42|uint64(r[i+1])<<21|uint64(r[i+2]))
	}
	slices.Sort(s)
	return slices.Compact(s)
}

// jaccard is |a ∩ b| / |a ∪ b|, or some number below limit when it is below.
func jaccard(a, b gramSet, limit float64) float64 {
	total := float64(len(a) + len(b))
	if total == 0 {
		return 0
	}
	// shared/(total − shared) ≥ limit needs shared ≥ limit·total/(1 + limit).
	need := int(math.Ceil(limit*total/(1+limit) - 1e-9))
	shared, i, j := 0, 0, 0
	for i < len(a) && j < len(b) {
		if shared+min(len(a)-i, len(b)-j) < need {
			return 0
		}
		switch {
		case a[i] == b[j]:
			shared, i, j = shared+1, i+1, j+1
		case a[i] < b[j]:
			i++
		default:
			j++
		}
	}
	return float64(shared) / (total - float64(shared))
}

// similarPairs calls found for every pair j < i of sets with a Jaccard similarity of at
// least limit: i ascending, j in any order. Two such sets share one of their rarest grams (the first
// n − ⌈limit·n⌉ + 1 of each in one order), so only those are indexed.
func similarPairs(sets []gramSet, limit float64, found func(i, j int, similarity float64)) {
	frequency := map[uint64]int{}
	for _, s := range sets {
		for _, g := range s {
			frequency[g]++
		}
	}
	index := map[uint64][]int32{}
	compared := make([]int, len(sets)) // the last i+1 with which j was compared
	for i, s := range sets {
		rare := slices.Clone(s)
		slices.SortFunc(rare, func(a, b uint64) int {
			return cmp.Or(cmp.Compare(frequency[a], frequency[b]), cmp.Compare(a, b))
		})
		if len(rare) > 0 {
			// The 1e-9 keeps a product like 0.85·20 from rounding up.
			rare = rare[:len(rare)-int(math.Ceil(limit*float64(len(rare))-1e-9))+1]
		}
		for _, g := range rare {
			for _, j := range index[g] {
				if compared[j] == i+1 {
					continue
				}
				compared[j] = i + 1
				if v := jaccard(s, sets[j], limit); v >= limit {
					found(i, int(j), v)
				}
			}
			index[g] = append(index[g], int32(i))
		}
	}
}
