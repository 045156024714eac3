package sdk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/so8t/so8t/plugins"
)

// maxRow bounds one line of predictions, in bytes.
const maxRow = 16 << 20

// progressEvery is how many rows are read between two reports of progress.
const progressEvery = 256

// rowReader reads predictions. It remembers the first error, so that an evaluator that does
// not look at it cannot report metrics of half a file.
type rowReader struct {
	ctx     context.Context // of the Run in which it lives
	path    string
	attempt *plugins.Attempt
	err     error
}

// all yields every row; an error is the last pair.
func (r *rowReader) all(yield func(Row, error) bool) {
	stopped, err := r.read(func(row Row) bool { return yield(row, nil) })
	if err != nil && !stopped {
		r.err = err
		yield(Row{}, err)
	}
}

func (r *rowReader) read(yield func(Row) bool) (stopped bool, err error) {
	f, err := os.Open(r.path)
	if err != nil {
		return false, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	in := bufio.NewReaderSize(f, 256<<10)
	var rows, done int64
	for line := 1; ; line++ {
		text, err := readLine(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, plugins.Errorf(plugins.BadInput, "%s:%d: %w", r.path, line, err)
		}
		done += int64(len(text)) + 1
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		var row Row
		if err := json.Unmarshal(text, &row); err != nil {
			return false, plugins.Errorf(plugins.BadInput, "%s:%d: %w", r.path, line, err)
		}
		if !yield(row) {
			return true, nil
		}
		if rows++; rows%progressEvery == 0 {
			if err := r.ctx.Err(); err != nil {
				return false, err
			}
			r.attempt.Progress(min(done, info.Size()), info.Size(), "byte")
		}
	}
	if rows == 0 {
		return false, plugins.Errorf(plugins.BadInput, "%s: there is no row in it", r.path)
	}
	r.attempt.Progress(info.Size(), info.Size(), "byte")
	return false, nil
}

var errLongRow = errors.New("the line is longer than 16 MiB")

// readLine returns one line without its end; io.EOF when there is none.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxRow:
			return nil, errLongRow
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0, err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		}
		return nil, err
	}
}
