package data

import (
	"math/rand/v2"
	"slices"

	"github.com/so8t/so8t/stages/internal/dataset"
)

// permuteLabels deals the judgements of a set's rows out anew, with their answers: a
// control in which there is nothing to learn, so that a model trained on it must judge the
// (untouched) test rows by chance.
func permuteLabels(rows []dataset.Row, seed int64) {
	rng := rand.New(rand.NewPCG(uint64(seed), 0x7065726d757465)) // "permute"
	var labelled []int
	for i, r := range rows {
		if r.Label != "" {
			labelled = append(labelled, i)
		}
	}
	from := append([]dataset.Row(nil), rows...)
	for k, p := range rng.Perm(len(labelled)) {
		to, src := &rows[labelled[k]], from[labelled[p]]
		to.Label, to.Reason = src.Label, src.Reason
		// The messages may be shared with other copies of the row.
		to.Messages = slices.Clone(from[labelled[k]].Messages)
		to.Messages[len(to.Messages)-1].Content = src.Messages[len(src.Messages)-1].Content
	}
}
