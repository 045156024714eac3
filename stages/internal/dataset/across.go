package dataset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// nearLimit is the similarity from which a row is called a near-duplicate.
const nearLimit = 0.85

// across compares rows with each other, in file order: what repeats an earlier row goes,
// then whoever contradicts another, and what is nearly an earlier row is said.
func (im *importer) across() {
	im.dropDuplicates()
	im.dropContradictions()
	im.warnNear()
	slices.SortStableFunc(im.out.Rejected, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
}

// exactKey and foldedKey are equal for rows that say the same.
func (r Imported) exactKey() string {
	var sb strings.Builder
	for _, m := range r.Messages {
		sb.WriteString(m.Role + "\x00" + m.Content + "\x00")
	}
	return sb.String() + r.Label
}

func (r Imported) foldedKey() string {
	var sb strings.Builder
	for _, m := range r.Messages {
		sb.WriteString(m.Role + "\x00" + Fold(m.Content) + "\x00")
	}
	return sb.String() + r.Label
}

func (im *importer) dropDuplicates() {
	exact, folded := map[string]int{}, map[string]int{}
	kept := im.out.Rows[:0]
	for _, r := range im.out.Rows {
		ek, fk := r.exactKey(), r.foldedKey()
		if of, ok := exact[ek]; ok {
			im.out.Rejected = append(im.out.Rejected, Finding{File: im.file, Line: r.Line, Class: DuplicateExact, Of: of,
				Message: fmt.Sprintf("the same texts and label as line %d", of)})
			continue
		}
		if of, ok := folded[fk]; ok {
			im.out.Rejected = append(im.out.Rejected, Finding{File: im.file, Line: r.Line, Class: DuplicateNFKC, Of: of,
				Message: fmt.Sprintf("the same as line %d but for width, case or white space", of)})
			continue
		}
		exact[ek], folded[fk] = r.Line, r.Line
		kept = append(kept, r)
	}
	im.out.Rows = kept
}

func (im *importer) dropContradictions() {
	groups := map[string][]Imported{}
	for _, r := range im.out.Rows {
		key := Fold(r.PromptText())
		groups[key] = append(groups[key], r)
	}
	kept := im.out.Rows[:0]
	for _, r := range im.out.Rows {
		g := groups[Fold(r.PromptText())]
		if !slices.ContainsFunc(g, func(o Imported) bool { return o.Label != r.Label && o.Label != "" && r.Label != "" }) {
			kept = append(kept, r)
			continue
		}
		var with []int
		for _, o := range g {
			if o.Line != r.Line {
				with = append(with, o.Line)
			}
		}
		im.out.Rejected = append(im.out.Rejected, Finding{File: im.file, Line: r.Line, Class: ContradictoryLabel, With: with,
			Message: fmt.Sprintf("the same prompt has another label in lines %v; nobody can say which is right", with)})
	}
	im.out.Rows = kept
}

func (im *importer) warnNear() {
	sets := make([]gramSet, len(im.out.Rows))
	for i, r := range im.out.Rows {
		var sb strings.Builder
		for _, m := range r.Messages {
			sb.WriteString(Fold(m.Content))
		}
		sets[i] = newGramSet(sb.String())
	}
	of, best := map[int]int{}, map[int]float64{}
	similarPairs(sets, nearLimit, func(i, j int, similarity float64) { // j < i
		if im.out.Rows[i].Label != im.out.Rows[j].Label {
			return
		}
		if s, ok := best[i]; !ok || similarity > s || similarity == s && j < of[i] {
			of[i], best[i] = j, similarity
		}
	})
	for i, r := range im.out.Rows {
		if s, ok := best[i]; ok {
			line := im.out.Rows[of[i]].Line
			im.out.Warnings = append(im.out.Warnings, Finding{File: im.file, Line: r.Line, Class: NearDuplicate, Of: line, Jaccard: s,
				Message: fmt.Sprintf("nearly the same as line %d (Jaccard %.2f)", line, s)})
		}
	}
}
