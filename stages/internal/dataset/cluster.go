package dataset

// clusterLimit is the similarity of two prompts from which they belong together: low
// enough that a reworded question does not end up in another split.
const clusterLimit = 0.6

// Clusters numbers rows so that those that are alike have the same number: prompts with a
// Jaccard similarity of their 3-grams of 0.6 or more, the same template, the same topic, and
// whatever these connect. Numbers count up from 0 in the order of first rows.
func Clusters(rows []Row) []int {
	parent := make([]int, len(rows))
	for i := range parent {
		parent[i] = i
	}
	var root func(i int) int
	root = func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	// The earlier row is the root, which makes numbers independent of the order of joins.
	join := func(i, j int) {
		a, b := root(i), root(j)
		parent[max(a, b)] = min(a, b)
	}
	sets := make([]gramSet, len(rows))
	named := map[string]int{}
	for i, r := range rows {
		sets[i] = newGramSet(Fold(r.PromptText()))
		for _, name := range []string{"template " + r.Template, "topic " + r.Topic} {
			if name == "template " || name == "topic " {
				continue
			}
			if first, ok := named[name]; ok {
				join(first, i)
			} else {
				named[name] = i
			}
		}
	}
	similarPairs(sets, clusterLimit, func(i, j int, _ float64) { join(i, j) })
	number := make([]int, len(rows))
	count := 0
	for i := range rows {
		if r := root(i); r == i {
			number[i] = count
			count++
		} else {
			number[i] = number[r]
		}
	}
	return number
}
