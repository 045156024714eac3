package train

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/so8t/so8t/stages/internal/loop"
	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// Marks around what is learnt in a sample. They are no brackets that a text is likely to have.
const learnOpen, learnClose = "⟦", "⟧"

// sample renders a row as the model sees it, control tokens included, with what it learns to
// say between marks: the way to find a wrong template or mask before a night is spent on it.
func sample(tok *tokenizer.Tokenizer, r loop.Row) string {
	var b strings.Builder
	learnt := 0
	for from := 0; from < len(r.Tokens); {
		to := from
		for to < len(r.Tokens) && r.Learn[to] == r.Learn[from] {
			to++
		}
		text := tok.Decode(r.Tokens[from:to])
		if r.Learn[from] {
			text = learnOpen + text + learnClose
			learnt += to - from
		}
		b.WriteString(text)
		from = to
	}
	return fmt.Sprintf("%d tokens, of which %d between %s and %s are learnt:\n%s\n", len(r.Tokens), learnt, learnOpen, learnClose, b.String())
}

// writeSample writes the first row's sample and returns it.
func writeSample(dir string, d data) (string, error) {
	text := "The first row has " + sample(d.tokenizer, d.train[0])
	if d.cut > 0 {
		text += fmt.Sprintf("%d rows are longer than the limit and lost their end.\n", d.cut)
	}
	return text, os.WriteFile(filepath.Join(dir, sampleFile), []byte(text), 0o644)
}
