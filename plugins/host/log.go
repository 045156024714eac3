package host

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

const (
	// tailBytes is how much of the end of a plugin's output goes into an error.
	tailBytes = 8 << 10
	// maxLine is how long a line may grow before it is written in pieces.
	maxLine = 8 << 10
	// defaultLogLimit bounds one attempt's log.
	defaultLogLimit = 64 << 20
)

// journal is an attempt's log: bounded, and remembering its last lines. What it gets is
// redacted already. It holds no more than the tail in memory.
type journal struct {
	mu     sync.Mutex
	w      io.Writer // nil drops everything
	limit  int64
	n      int64
	full   bool
	tail   []byte
	closed bool
}

func newJournal(w io.Writer, limit int64) *journal {
	j := &journal{}
	j.open(w, limit)
	return j
}

// open says where to write, from now on and what is remembered.
func (j *journal) open(w io.Writer, limit int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if limit <= 0 {
		limit = defaultLogLimit
	}
	j.w, j.limit = w, limit
	if len(j.tail) > 0 {
		j.put(j.tail)
	}
}

func (j *journal) write(b []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	j.remember(b)
	j.put(b)
}

func (j *journal) put(b []byte) {
	if j.w == nil || j.full {
		return
	}
	if j.n+int64(len(b)) > j.limit {
		b = b[:j.limit-j.n]
		j.full = true
	}
	j.n += int64(len(b))
	_, err := j.w.Write(b) // a full disk must not fail the stage
	if j.full && err == nil {
		_, _ = fmt.Fprintf(j.w, "\n[so8t: the log has reached %d bytes; the rest is dropped]\n", j.limit)
	}
}

func (j *journal) remember(b []byte) {
	if len(b) > tailBytes {
		b = b[len(b)-tailBytes:]
	}
	j.tail = append(j.tail, b...)
	if len(j.tail) > 2*tailBytes {
		j.tail = append(j.tail[:0], j.tail[len(j.tail)-tailBytes:]...)
	}
}

// lastLines is the end of what was printed, from the start of a line.
func (j *journal) lastLines() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := bytes.TrimSpace(j.tail)
	if len(t) > tailBytes {
		t = t[len(t)-tailBytes:]
		if _, rest, ok := bytes.Cut(t, []byte("\n")); ok {
			t = rest
		}
	}
	return string(t)
}

// close ends the journal: what comes later is dropped.
func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
}

// stream is one of a plugin's outputs on its way into the journal: whole lines as far as
// they are not too long, with secrets replaced even when they arrive in two parts.
type stream struct {
	mu      sync.Mutex
	to      *journal
	secrets secrets
	held    []byte
}

// Write takes the next part of the output. It never fails.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(b)
	for len(b) > 0 { // in pieces, so that one huge write costs no memory
		part := b[:min(len(b), maxLine)]
		b = b[len(part):]
		s.held = s.secrets.bytes(append(s.held, part...))
		cut := bytes.LastIndexAny(s.held, "\n\r") + 1
		if len(s.held)-cut > maxLine {
			cut = len(s.held)
		}
		cut = min(cut, len(s.held)-s.secrets.pending(s.held))
		if cut > 0 {
			s.to.write(s.held[:cut])
			s.held = append(s.held[:0:0], s.held[cut:]...)
		}
	}
	return n, nil
}

// hide replaces other secrets from now on.
func (s *stream) hide(secrets secrets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = secrets
}

// flush writes what is held, at the end.
func (s *stream) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.held) > 0 {
		s.to.write(append(s.held, '\n'))
		s.held = nil
	}
}
