package console

import (
	"encoding/json"
	"io"

	"github.com/so8t/so8t/engine"
)

// JSONLines returns a listener that writes every event as one line of JSON. A reader that went
// away does not disturb the run: what cannot be written is dropped.
func JSONLines(w io.Writer) engine.Listener {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return func(e engine.Event) { _ = encoder.Encode(e) }
}
