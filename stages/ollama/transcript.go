package ollama

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

// transcript writes every exchange as one line.
type transcript struct {
	mu  sync.Mutex
	f   *os.File
	w   *bufio.Writer
	err error
}

func openTranscript(path string) (*transcript, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("writing the transcript: %w", err)
	}
	return &transcript{f: f, w: bufio.NewWriter(f)}, nil
}

// add writes one exchange; an answer has one value, or those of a stream.
func (t *transcript) add(method, path string, request any, answer []json.RawMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	encoder := json.NewEncoder(t.w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(map[string]any{"method": method, "path": path, "request": request, "response": answer}); err != nil && t.err == nil {
		t.err = fmt.Errorf("writing the transcript: %w", err)
	}
}

func (t *transcript) close() error {
	if err := t.w.Flush(); t.err == nil {
		t.err = err
	}
	if err := t.f.Close(); t.err == nil {
		t.err = err
	}
	return t.err
}
