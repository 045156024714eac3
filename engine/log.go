package engine

import (
	"fmt"
	"os"
	"sync"
)

// logFile takes what a plugin prints. It is made with the first line: most attempts of a large run
// print nothing. It is not synced.
type logFile struct {
	path string

	mu   sync.Mutex
	file *os.File
}

// Write implements io.Writer. Both streams of a plugin come here.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
		if err != nil {
			return 0, fmt.Errorf("opening the attempt's log: %w", err)
		}
		l.file = f
	}
	return l.file.Write(p)
}

// Close implements io.Closer.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
