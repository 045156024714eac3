package ollama

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// client speaks with one server.
type client struct {
	base string // http://host:port
	http *http.Client
	// patience is how long a server may be silent in the middle of a request.
	patience time.Duration
	// threads are what a model is computed with; 0: as the server chooses.
	threads int
	// record, when set, gets every exchange of JSON, with the whole answer.
	record func(method, path string, request any, answer []json.RawMessage)
}

// body is what a request carries; length is its size in bytes.
type body struct {
	io.Reader
	length int64
}

// exchange sends one request and hands the answer to use. A server that says and takes nothing for
// as long as the client's patience is given up, however long the whole may take.
func (c *client) exchange(ctx context.Context, method, path string, b body, use func(io.Reader) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alarm := time.AfterFunc(c.patience, func() { cancel(errSilent) })
	defer alarm.Stop()
	moved := func() { alarm.Reset(c.patience) }
	failure := func(err error) error {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, http.NoBody)
	if err != nil {
		return err
	}
	if b.Reader != nil {
		request.Body, request.ContentLength = io.NopCloser(watched{b.Reader, moved}), b.length
	}
	response, err := c.http.Do(request)
	if err != nil {
		return failure(&unreachableError{err})
	}
	defer response.Body.Close()
	answer := watched{response.Body, moved}
	if response.StatusCode >= http.StatusMultipleChoices {
		text, _ := io.ReadAll(io.LimitReader(answer, 4096)) // an unreadable reason is no reason
		return &refusal{response.StatusCode, reason(text)}
	}
	if err := use(answer); err != nil {
		return failure(err)
	}
	return nil
}

// reason is the text of an error in an answer.
func reason(text []byte) string {
	var said struct{ Error string }
	if json.Unmarshal(text, &said) != nil || said.Error == "" {
		return strings.TrimSpace(string(text))
	}
	return said.Error
}

// watched tells of every byte that is read.
type watched struct {
	r     io.Reader
	moved func()
}

func (w watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.moved()
	return n, err
}

// ask sends in as JSON and hands each JSON value of the answer to use: one, or a stream of them. An
// error may come as a line of a stream that began with success. last reports whether a value is the
// one that a whole answer ends with.
func (c *client) ask(ctx context.Context, method, path string, in any, use func(line json.RawMessage) (last bool, err error)) error {
	var b body
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		b = body{bytes.NewReader(text), int64(len(text))}
	}
	var answer []json.RawMessage
	err := c.exchange(ctx, method, path, b, func(r io.Reader) error {
		lines := json.NewDecoder(r)
		for ended := false; ; {
			var line json.RawMessage
			err := lines.Decode(&line)
			switch {
			case errors.Is(err, io.EOF) && ended:
				return nil
			case err != nil:
				return &cutError{err}
			}
			answer = append(answer, line)
			var said struct{ Error string }
			if json.Unmarshal(line, &said) == nil && said.Error != "" {
				return &refusal{http.StatusOK, said.Error}
			}
			last, err := use(line)
			if err != nil {
				return err
			}
			ended = ended || last
		}
	})
	if c.record != nil {
		if err != nil {
			text, _ := json.Marshal(map[string]string{"error": err.Error()}) // a string
			answer = append(answer, text)
		}
		c.record(method, path, in, answer)
	}
	return err
}

// get reads one JSON value.
func (c *client) get(ctx context.Context, method, path string, in, out any) error {
	return c.ask(ctx, method, path, in, func(line json.RawMessage) (bool, error) {
		if err := json.Unmarshal(line, out); err != nil {
			return false, fmt.Errorf("reading the answer: %w", err)
		}
		return true, nil
	})
}

// order sends a request that is answered with nothing but success.
func (c *client) order(ctx context.Context, method, path string, in any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.exchange(ctx, method, path, body{bytes.NewReader(text), int64(len(text))}, func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
}
