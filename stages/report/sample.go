package report

import (
	"fmt"
	"os"
	"strings"
)

// maxSample bounds what is shown of the first row, in characters: its end is beyond the template and
// the mask that a reader looks for.
const maxSample = 4000

// sampleBlocks shows the first row as the model sees it, what is learnt between marks.
func sampleBlocks(d *document, path string) ([]block, error) {
	if path == "" {
		return nil, nil
	}
	s, err := d.open("train", "sample", path, nil)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the sample: %w", err)
	}
	head, row, _ := strings.Cut(string(raw), "\n")
	var tokens, learnt int
	if _, err := fmt.Sscanf(head, "The first row has %d tokens, of which %d ", &tokens, &learnt); err != nil {
		return nil, fmt.Errorf("reading the sample: its first line is %q", clip(head, 80))
	}
	says := []cell{
		text("The first row as the model sees it: "), s.count("sample_tokens", tokens), text(" tokens, of which "),
		s.count("sample_learnt", learnt), text(" are learnt, those between ⟦ and ⟧."),
	}
	row = strings.TrimRight(row, "\n")
	last := strings.LastIndexByte(row, '\n') + 1
	var cut int
	if _, err := fmt.Sscanf(row[last:], "%d rows are longer than the limit", &cut); err == nil {
		row = strings.TrimRight(row[:last], "\n")
		says = append(says, text(" "), s.count("rows_cut", cut), text(" rows are longer than the limit and lost their end."))
	}
	return []block{paragraph(says...), {quote: clip(row, maxSample)}}, nil
}
