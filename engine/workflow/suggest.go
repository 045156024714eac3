package workflow

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxListed bounds how many known names a hint lists.
const maxListed = 24

// maxSuggestions bounds the search for near names: it is quadratic when every name of a large
// file is wrong, and nobody reads that many hints.
const maxSuggestions = 100

// suggest is the hint for a name that is not among the known ones, while there are few such.
func (r *report) suggest(written string, known []string) string {
	if r.suggestions++; r.suggestions > maxSuggestions {
		return ""
	}
	return suggest(written, known)
}

// suggest is the hint for a name that is not among the known ones: the nearest of them when it
// is near enough (at most a third of the written name's length, rounded up), else all of them.
func suggest(written string, known []string) string {
	best, bestDistance := "", (utf8.RuneCountInString(written)+2)/3+1
	for _, k := range known {
		if d := distance(written, k, bestDistance); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(known) == 0 {
		return ""
	}
	listed := known
	if len(listed) > maxListed {
		listed = append(slices.Clone(listed[:maxListed]), "…")
	}
	return "known: " + strings.Join(listed, ", ")
}

// distance is the optimal string alignment distance of a and b, case ignored, or limit when it
// is not below limit.
func distance(a, b string, limit int) int {
	ra, rb := []rune(strings.ToLower(a)), []rune(strings.ToLower(b))
	if d := len(ra) - len(rb); d >= limit || -d >= limit {
		return limit
	}
	before, last, row := make([]int, len(rb)+1), make([]int, len(rb)+1), make([]int, len(rb)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(ra); i++ {
		row[0] = i
		for j := 1; j <= len(rb); j++ {
			cost := 1
			if ra[i-1] == rb[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && ra[i-1] == rb[j-2] && ra[i-2] == rb[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(rb)], limit)
}
