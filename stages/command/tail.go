package command

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// How much of a program's last words an error repeats.
const (
	tailBytes = 4 << 10
	tailLines = 20
)

// tail passes on what it gets and remembers the end of it.
type tail struct {
	to io.Writer

	mu   sync.Mutex
	last []byte
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	t.last = append(t.last, b[max(0, len(b)-tailBytes):]...)
	if cut := len(t.last) - tailBytes; cut > 0 {
		t.last = append(t.last[:0], t.last[cut:]...)
	}
	t.mu.Unlock()
	return t.to.Write(b)
}

// lines are the last lines, without empty ones at the end.
func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.ToValidUTF8(string(bytes.TrimSpace(t.last)), "\uFFFD")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-tailLines):]
}
