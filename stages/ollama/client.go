package ollama

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// client speaks with one server.
type client struct {
	base string // http://host:port
	http *http.Client
	// record, when set, gets every exchange with JSON.
	record func(method, path string, request, response any)
}

// statusError is what a server answered instead of success.
type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the server answered %d: %s", e.status, e.message)
}

// do sends one request and returns the answer's body, which must be closed.
func (c *client) do(ctx context.Context, method, path string, body io.Reader) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4096)) // an unreadable reason is no reason
		var answer struct{ Error string }
		if json.Unmarshal(text, &answer) != nil || answer.Error == "" {
			answer.Error = strings.TrimSpace(string(text))
		}
		return nil, &statusError{response.StatusCode, answer.Error}
	}
	return response.Body, nil
}

// post sends JSON and reads the JSON answer into out.
func (c *client) post(ctx context.Context, path string, in, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	body, err := c.do(ctx, http.MethodPost, path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("asking Ollama %s: %w", path, err)
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("reading Ollama's answer to %s: %w", path, err)
	}
	if c.record != nil {
		c.record(http.MethodPost, path, json.RawMessage(text), json.RawMessage(bytes.TrimSpace(raw)))
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("reading Ollama's answer to %s: %w", path, err)
	}
	return nil
}

func (c *client) version(ctx context.Context) (string, error) {
	body, err := c.do(ctx, http.MethodGet, "/api/version", nil)
	if err != nil {
		return "", err
	}
	defer body.Close()
	var answer struct{ Version string }
	if err := json.NewDecoder(body).Decode(&answer); err != nil || answer.Version == "" {
		return "", errors.New("it does not answer like an Ollama server")
	}
	return answer.Version, nil
}

// push uploads a file as a blob, unless the server has it.
func (c *client) push(ctx context.Context, path, digest string, progress func(done, total int64)) error {
	if body, err := c.do(ctx, http.MethodHead, "/api/blobs/sha256:"+digest, nil); err == nil {
		return body.Close()
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("uploading %q: %w", path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("uploading %q: %w", path, err)
	}
	counted := &countingReader{r: f, report: func(n int64) { progress(n, info.Size()) }}
	body, err := c.do(ctx, http.MethodPost, "/api/blobs/sha256:"+digest, counted)
	if err != nil {
		return fmt.Errorf("uploading the model to Ollama: %w", err)
	}
	return body.Close()
}

type countingReader struct {
	r      io.Reader
	n      int64
	report func(int64)
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.report(c.n)
	return n, err
}

// parameters are what every request and the created model use: greedy, and the context for which
// the short rotary factors hold.
type parameters struct {
	NumCtx        int      `json:"num_ctx"`
	Temperature   float64  `json:"temperature"`
	RepeatPenalty float64  `json:"repeat_penalty"`
	Seed          int      `json:"seed"`
	Stop          []string `json:"stop"`
}

func (c *client) create(ctx context.Context, model, digest, template string, p parameters) error {
	var answer struct{ Status, Error string }
	err := c.post(ctx, "/api/create", map[string]any{
		"model": model, "files": map[string]string{"model.gguf": "sha256:" + digest}, "template": template, "parameters": p, "stream": false,
	}, &answer)
	if err == nil && answer.Status != "success" {
		err = fmt.Errorf("creating model %q: Ollama says %q %s", model, answer.Status, answer.Error)
	}
	return err
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// answer is the reply to a chat request.
type answer struct {
	Message     message `json:"message"`
	Done        bool    `json:"done"`
	DoneReason  string  `json:"done_reason"`
	PromptCount int     `json:"prompt_eval_count"`
	Count       int     `json:"eval_count"`
	Duration    int64   `json:"eval_duration"` // ns
	Error       string  `json:"error"`
	Debug       struct {
		Rendered string `json:"rendered_template"`
	} `json:"_debug_info"`
}

// chat asks for at most limit tokens.
func (c *client) chat(ctx context.Context, model string, messages []message, limit int) (answer, error) {
	var a answer
	err := c.post(ctx, "/api/chat", map[string]any{
		"model": model, "messages": messages, "stream": false, "options": map[string]any{"num_predict": limit},
	}, &a)
	if err == nil && (a.Error != "" || !a.Done) {
		err = fmt.Errorf("chatting with model %q: the answer is not complete %s", model, a.Error)
	}
	return a, err
}

// render returns the prompt that the server makes of messages.
func (c *client) render(ctx context.Context, model string, messages []message) (string, error) {
	var a answer
	err := c.post(ctx, "/api/chat", map[string]any{
		"model": model, "messages": messages, "stream": false, "_debug_render_only": true,
	}, &a)
	return a.Debug.Rendered, err
}
