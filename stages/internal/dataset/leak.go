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

// What a row may share with train, the first that applies.
const (
	LeakExact    Class = "leak-exact"    // the folded prompt stands in train
	LeakTemplate Class = "leak-template" // train has a row of the same template
	LeakTopic    Class = "leak-topic"    // train has a row on the same topic
	LeakOverlap  Class = "leak-overlap"  // half of its 8-grams or more stand in train
)

// Leak says what one row shares with train.
type Leak struct {
	Class Class // "" = nothing
	// Overlap is the share of the distinct character 8-grams of the folded prompt that
	// stand in some train prompt.
	Overlap float64
}

// LeakReport counts the rows of a split that train gives away, each once, by class.
type LeakReport struct {
	Exact    int `json:"exact"`
	Template int `json:"template"`
	Topic    int `json:"topic"`
	// Overlapping rows share half of their wording or more, which a grammar whose phrases
	// are all taught has by intention: no leak by itself.
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

// FindLeaks compares each row with train.
func FindLeaks(train, rows []Row) []Leak {
	exact, templates, topics := map[string]bool{}, map[string]bool{}, map[string]bool{}
	grams := map[string]bool{}
	for _, r := range train {
		text := Fold(r.PromptText())
		exact[text], templates[r.Template], topics[r.Topic] = true, true, true
		addGrams(grams, text)
	}
	delete(templates, "")
	delete(topics, "")
	leaks := make([]Leak, len(rows))
	for i, r := range rows {
		text := Fold(r.PromptText())
		leaks[i].Overlap = overlap(grams, text)
		switch {
		case exact[text]:
			leaks[i].Class = LeakExact
		case templates[r.Template]:
			leaks[i].Class = LeakTemplate
		case topics[r.Topic]:
			leaks[i].Class = LeakTopic
		case leaks[i].Overlap >= overlapLimit:
			leaks[i].Class = LeakOverlap
		}
	}
	return leaks
}

// Leaks counts what FindLeaks finds.
func Leaks(train, rows []Row) LeakReport {
	var rep LeakReport
	for _, l := range FindLeaks(train, rows) {
		switch l.Class {
		case LeakExact:
			rep.Exact++
		case LeakTemplate:
			rep.Template++
		case LeakTopic:
			rep.Topic++
		case LeakOverlap:
			rep.Overlapping++
		}
		rep.MeanOverlap += l.Overlap / float64(len(rows))
		rep.MaxOverlap = max(rep.MaxOverlap, l.Overlap)
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
