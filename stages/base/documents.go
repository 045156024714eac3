package base

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/so8t/so8t/plugins"
)

// readDocuments reads a corpus: JSONL of rows with `text` or `messages`, or plain text with
// a document on each line.
func readDocuments(path string) ([]document, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading corpus: %w", err)
	}
	var docs []document
	jsonl := bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{"))
	for i, line := range bytes.Split(raw, []byte{'\n'}) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		d := document{}
		if !jsonl {
			d.Text = string(line)
		} else if err := json.Unmarshal(line, &d); err != nil {
			return nil, plugins.Errorf(plugins.BadInput, "%s:%d: %w", path, i+1, err)
		} else if d.Text == "" && len(d.Messages) == 0 {
			return nil, plugins.Errorf(plugins.BadInput, "%s:%d: neither text nor messages", path, i+1)
		}
		docs = append(docs, d)
	}
	if len(docs) == 0 {
		return nil, plugins.Errorf(plugins.BadInput, "corpus %q is empty", path)
	}
	return docs, nil
}
