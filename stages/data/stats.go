package data

import (
	"github.com/so8t/so8t/stages/internal/dataset"
)

// stats is the output of that name. Maps are written with sorted keys.
type stats struct {
	Source string                `json:"source"` // grammar or dataset
	Seed   int64                 `json:"seed"`
	Rows   int                   `json:"rows"`
	Unique int                   `json:"unique_rows"`
	Splits map[string]splitStats `json:"splits"`
	// Leaks of every split against train.
	Leaks  map[string]dataset.LeakReport `json:"leaks"`
	Import *importStats                  `json:"import,omitempty"`
}

type splitStats struct {
	Rows      int                       `json:"rows"`
	Labels    map[string]int            `json:"labels"`
	Domains   map[string]map[string]int `json:"domains"` // domain → label → rows
	Templates int                       `json:"templates"`
	Topics    int                       `json:"topics"`
	// MeanChars and MaxChars of the prompts, in characters.
	MeanChars float64 `json:"mean_chars"`
	MaxChars  int     `json:"max_chars"`
	// Binding rows of the grammar: those that no single phrase decides.
	Binding int `json:"binding,omitempty"`
}

// importStats says what of a user's file was used.
type importStats struct {
	Accepted       int `json:"accepted"`
	Rejected       int `json:"rejected"`
	NearDuplicates int `json:"near_duplicates"`
	Blank          int `json:"blank_lines"`
	Unlabelled     int `json:"unlabelled"` // for learning only
	Clusters       int `json:"clusters"`
	// ClusterLimit is the similarity from which prompts were kept together.
	ClusterLimit float64 `json:"cluster_limit"`
}

func newStats(source string, seed int64, sets [4][]dataset.Row) stats {
	s := stats{Source: source, Seed: seed, Splits: map[string]splitStats{}, Leaks: map[string]dataset.LeakReport{}}
	unique := map[string]bool{}
	for i, rows := range sets {
		s.Rows += len(rows)
		for _, r := range rows {
			unique[dataset.Fold(r.PromptText())] = true
		}
		s.Splits[splitNames[i]] = describe(rows)
		if i > 0 {
			s.Leaks[splitNames[i]] = dataset.Leaks(sets[0], rows)
		}
	}
	s.Unique = len(unique)
	return s
}

func describe(rows []dataset.Row) splitStats {
	s := splitStats{Rows: len(rows), Labels: map[string]int{}, Domains: map[string]map[string]int{}}
	templates, topics := map[string]bool{}, map[string]bool{}
	chars := 0
	for _, r := range rows {
		s.Labels[r.Label]++
		if s.Domains[r.Domain] == nil {
			s.Domains[r.Domain] = map[string]int{}
		}
		s.Domains[r.Domain][r.Label]++
		templates[r.Template], topics[r.Topic] = true, true
		n := len([]rune(r.PromptText()))
		chars += n
		s.MaxChars = max(s.MaxChars, n)
	}
	s.Templates, s.Topics = len(templates), len(topics)
	if len(rows) > 0 {
		s.MeanChars = float64(chars) / float64(len(rows))
	}
	return s
}

// leaks counts the rows of all splits that leak from train.
func (s stats) leaks() int {
	n := 0
	for _, r := range s.Leaks {
		n += r.Exact + r.Template + r.Topic
	}
	return n
}
