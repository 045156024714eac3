package dataset

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold makes texts that differ only in width, case or white space equal.
func Fold(text string) string {
	text = cases.Fold().String(norm.NFKC.String(text))
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
}

// LeakReport counts the rows of a split that train gives away. A row is counted once, by
// the first that applies.
type LeakReport struct {
	// Exact: the folded prompt stands in train.
	Exact int `json:"exact"`
	// Template, Topic: train has a row of the same group.
	Template int `json:"template"`
	Topic    int `json:"topic"`
	// Overlap is a row's share of distinct character 8-grams that stand in some train
	// prompt: what a split shares in wording, which a grammar whose phrases are all taught
	// has by intention. Overlapping rows have half or more.
	Overlapping int     `json:"overlapping"`
	MeanOverlap float64 `json:"mean_overlap"`
	MaxOverlap  float64 `json:"max_overlap"`
}

// overlapGram is the length of the compared n-grams, in characters; overlapLimit the share
// of them from which a row counts as overlapping.
const (
	overlapGram  = 8
	overlapLimit = 0.5
)

// Leaks compares rows with train.
func Leaks(train, rows []Row) LeakReport {
	exact, templates, topics := map[string]bool{}, map[string]bool{}, map[string]bool{}
	grams := map[string]bool{}
	for _, r := range train {
		text := Fold(r.PromptText())
		exact[text], templates[r.Template], topics[r.Topic] = true, true, true
		addGrams(grams, text)
	}
	delete(templates, "")
	delete(topics, "")
	var rep LeakReport
	sum := 0.0
	for _, r := range rows {
		text := Fold(r.PromptText())
		switch {
		case exact[text]:
			rep.Exact++
		case templates[r.Template]:
			rep.Template++
		case topics[r.Topic]:
			rep.Topic++
		}
		share := overlap(grams, text)
		sum += share
		rep.MaxOverlap = max(rep.MaxOverlap, share)
		if share >= overlapLimit {
			rep.Overlapping++
		}
	}
	if len(rows) > 0 {
		rep.MeanOverlap = sum / float64(len(rows))
	}
	return rep
}

// addGrams adds a text's 8-grams; a shorter text is one gram.
func addGrams(set map[string]bool, text string) {
	r := []rune(text)
	if len(r) < overlapGram {
		if len(r) > 0 {
			set[text] = true
		}
		return
	}
	for i := 0; i+overlapGram <= len(r); i++ {
		set[string(r[i:i+overlapGram])] = true
	}
}

// overlap is the share of text's distinct 8-grams that are in the set.
func overlap(set map[string]bool, text string) float64 {
	own := map[string]bool{}
	addGrams(own, text)
	if len(own) == 0 {
		return 0
	}
	shared := 0
	for g := range own {
		if set[g] {
			shared++
		}
	}
	return float64(shared) / float64(len(own))
}
