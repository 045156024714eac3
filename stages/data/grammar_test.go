package data

import (
	"testing"

	"github.com/so8t/so8t/stages/internal/dataset"
)

func TestTripleTests_CoveredByTheGrammar_InNoSplit(t *testing.T) {
	tests := dataset.TripleTests()
	for i, r := range tripleRequests() {
		if r.text() != tests[i].Prompt || r.label() != tests[i].Label {
			t.Errorf("%q %s, want %q %s", r.text(), r.label(), tests[i].Prompt, tests[i].Label)
		}
	}
}
