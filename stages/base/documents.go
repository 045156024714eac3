package base

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/so8t/so8t/plugins"
)

// readDocuments reads a corpus: JSONL of rows with `text` or `messages`, or plain text whose
// documents are parted by empty lines.
func readDocuments(path string) ([]document, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading corpus: %w", err)
	}
	raw = bytes.TrimSpace(bytes.ReplaceAll(raw, []byte("\r\n"), []byte{'\n'}))
	var docs []document
	if bytes.HasPrefix(raw, []byte("{")) {
		docs, err = readRows(path, raw)
	} else {
		for d := range bytes.SplitSeq(raw, []byte("\n\n")) {
			if d = bytes.TrimSpace(d); len(d) > 0 {
				docs = append(docs, document{Text: string(d)})
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 {
		return nil, plugins.Errorf(plugins.BadInput, "corpus %q is empty", path)
	}
	return docs, nil
}

func readRows(path string, raw []byte) ([]document, error) {
	var docs []document
	for i, line := range bytes.Split(raw, []byte{'\n'}) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		d := document{}
		if err := json.Unmarshal(line, &d); err != nil {
			return nil, plugins.Errorf(plugins.BadInput, "%s:%d: %w", path, i+1, err)
		}
		if d.Text == "" && len(d.Messages) == 0 {
			return nil, plugins.Errorf(plugins.BadInput, "%s:%d: neither text nor messages", path, i+1)
		}
		docs = append(docs, d)
	}
	return docs, nil
}
