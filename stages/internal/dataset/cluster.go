package dataset

// ClusterLimit is the similarity of two prompts from which they belong together: low
// enough that a reworded question does not end up in another split.
const ClusterLimit = 0.6

// clusterLimits: rows written from one template are all connected through each other at a
// low limit, so stricter ones follow.
var clusterLimits = []float64{ClusterLimit, 0.7, 0.8, 0.9, 1}

// largestCluster is the share of all rows that one cluster may hold before a stricter
// limit is taken: a larger one could not be split in a useful way.
const largestCluster = 0.2

// Clusters numbers rows so that those that are alike have the same number: prompts with a
// Jaccard similarity of their 3-grams of at least limit, the same template, the same topic,
// and whatever these connect. The limit is ClusterLimit, or the lowest of some stricter ones at
// which no cluster is too large. Numbers count up from 0 in the order of first rows.
func Clusters(rows []Row) (number []int, limit float64) {
	forests := make([]forest, len(clusterLimits))
	for k := range forests {
		forests[k] = newForest(len(rows))
	}
	sets := make([]gramSet, len(rows))
	named := map[string]int{}
	for i, r := range rows {
		sets[i] = newGramSet(Fold(r.PromptText()))
		for _, name := range []string{"template " + r.Template, "topic " + r.Topic} {
			if name == "template " || name == "topic " {
				continue
			}
			first, ok := named[name]
			if !ok {
				named[name] = i
				continue
			}
			for _, f := range forests {
				f.join(first, i)
			}
		}
	}
	similarPairs(sets, clusterLimits[0], func(i, j int, similarity float64) {
		for k, l := range clusterLimits {
			if similarity >= l {
				forests[k].join(i, j)
			}
		}
	})
	for k, f := range forests {
		n, largest := f.number()
		if number, limit = n, clusterLimits[k]; float64(largest) <= max(1, largestCluster*float64(len(rows))) {
			break
		}
	}
	return number, limit
}

// forest is a union-find structure: each row's parent, itself for a root. The earliest row
// of a tree is its root, whatever the order of joins.
type forest []int

func newForest(n int) forest {
	f := make(forest, n)
	for i := range f {
		f[i] = i
	}
	return f
}

func (f forest) root(i int) int {
	for f[i] != i {
		f[i] = f[f[i]]
		i = f[i]
	}
	return i
}

func (f forest) join(i, j int) {
	a, b := f.root(i), f.root(j)
	f[max(a, b)] = min(a, b)
}

// number gives each tree a number and returns the size of the largest.
func (f forest) number() (number []int, largest int) {
	number = make([]int, len(f))
	var sizes []int
	for i := range f {
		r := f.root(i)
		if r == i {
			number[i] = len(sizes)
			sizes = append(sizes, 0)
		}
		number[i] = number[r]
		sizes[number[i]]++
		largest = max(largest, sizes[number[i]])
	}
	return number, largest
}
