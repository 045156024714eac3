package cli

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/so8t/so8t/engine"
)

func TestPrintStatus_TheBytesOfTheWholeDocument(t *testing.T) {
	for _, stages := range []int{0, 1, 3} {
		view := &engine.StatusView{Run: "r", Note: `<"note"> []` + "\n}", Stages: []engine.StageView{}}
		for i := range stages {
			view.Stages = append(view.Stages, engine.StageView{
				Stage: "s", Instance: fmt.Sprintf("s[i=%d]", i), Reason: "a < b & c", Needs: []string{"x", "y"}, Attempts: []engine.AttemptView{{Attempt: 1}},
				Outputs: map[string]engine.OutputView{"out": {Path: "p"}}, Metrics: engine.Values{"loss": 0.5},
			})
		}
		var want, got bytes.Buffer
		whole, parts := &app{Streams: Streams{Out: &want}}, &app{Streams: Streams{Out: &got}}
		if err := whole.printJSON(view); err != nil {
			t.Fatal(err)
		}
		if err := parts.printStatus(view); err != nil || got.String() != want.String() {
			t.Errorf("%d stages: %v\n%s\nwant\n%s", stages, err, got.String(), want.String())
		}
	}
}
