package plugintest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"unicode/utf8"
)

// What a plugin may print while it works on a small input: a log that can be read, and kept.
const (
	maxPrinted     = 4 << 20
	maxPrintedLine = 64 << 10
)

// meter measures what a plugin prints.
type meter struct {
	mu      sync.Mutex
	bytes   int64
	line    int64 // length of the line so far
	longest int64
	binary  bool
	rest    []byte // the beginning of a character
}

// Write implements io.Writer.
func (m *meter) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(b)
	m.bytes += int64(n)
	m.binary = m.binary || bytes.IndexByte(b, 0) >= 0 || !m.isText(b)
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			break
		}
		m.longest = max(m.longest, m.line+int64(i))
		m.line, b = 0, b[i+1:]
	}
	m.line += int64(len(b))
	m.longest = max(m.longest, m.line)
	return n, nil
}

// isText says whether what came is UTF-8; a character may come in two parts.
func (m *meter) isText(b []byte) bool {
	b = append(m.rest, b...)
	m.rest = nil
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if tail := b[len(b)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				m.rest = bytes.Clone(tail)
				b = b[:len(b)-i]
			}
			break
		}
	}
	return utf8.Valid(b)
}

// printsLittle judges what the run on the small input printed.
func (s *suite) printsLittle(context.Context) error {
	m := s.printed
	m.mu.Lock()
	defer m.mu.Unlock()
	var wrong []string
	if m.bytes > maxPrinted {
		wrong = append(wrong, fmt.Sprintf("it printed %d bytes on a small input; a log is cut, and a small input should give less than %d", m.bytes, maxPrinted))
	}
	if m.longest > maxPrintedLine {
		wrong = append(wrong, fmt.Sprintf("it printed a line of %d bytes", m.longest))
	}
	if m.binary {
		wrong = append(wrong, "it printed bytes that are no text")
	}
	return list(wrong)
}
