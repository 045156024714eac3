package data

import "github.com/so8t/so8t/plugins"

// config is the stage's `with`.
type config struct {
	Train       int `json:"train" default:"2400" min:"12" max:"50000" help:"rows to learn from; with a dataset of your own, its share"`
	Validation  int `json:"validation" default:"300" min:"3" max:"50000" help:"rows for the validation loss while training"`
	Calibration int `json:"calibration" default:"500" min:"3" max:"50000" help:"rows on which temperature and threshold are fitted"`
	Test        int `json:"test" default:"1000" min:"3" max:"50000" help:"rows for the evaluation"`
	Samples     int `json:"samples" default:"0" min:"0" max:"50000" help:"rows in all, divided in the ratio of the four counts; 0 takes the counts as they are"`

	Scale string `json:"scale" default:"full" enum:"full,tiny" help:"tiny: a tenth of the rows, for tests"`

	Seed     int64  `json:"seed" default:"42" help:"same seed, same rows"`
	Permute  bool   `json:"permute_labels" default:"false" help:"control: the judgements of train and validation are dealt out anew, so that nothing can be learnt"`
	Dataset  string `json:"dataset" default:"" format:"path" help:"your own rows instead of the built-in grammar: JSONL ({\"text\",\"label\",\"reason\"}, alpaca, chat messages, sharegpt) or CSV"`
	Encoding string `json:"encoding" default:"utf-8" enum:"utf-8,shift_jis" help:"of the dataset file"`
	BadRows  string `json:"bad_rows" default:"fail" enum:"fail,skip" help:"what a broken line of the dataset does: fail before anything starts, or skip it with a warning"`
	MaxChars int    `json:"max_chars" default:"8192" min:"1" help:"longest row accepted, in characters; nothing is ever cut"`
}

// counts of the four splits, in the order of splitNames.
func (c config) counts() [4]int {
	n := [4]int{c.Train, c.Validation, c.Calibration, c.Test}
	if c.Scale == "tiny" {
		for i := range n {
			n[i] = max(12, n[i]/10)
		}
	}
	if c.Samples == 0 {
		return n
	}
	total, rest := n[0]+n[1]+n[2]+n[3], c.Samples
	for i := 1; i < 4; i++ {
		n[i] = max(3, c.Samples*n[i]/total)
		rest -= n[i]
	}
	n[0] = rest
	return n
}

func (c config) problems() []plugins.Problem {
	if n := c.counts(); n[0] < 12 {
		return []plugins.Problem{{Field: "samples", Code: plugins.BadInput,
			Message: "too few rows to fill four splits", Hint: "ask for 30 or more"}}
	}
	return nil
}
