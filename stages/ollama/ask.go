package ollama

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/modelfile"
)

// Report is ollama_report.json. It holds no times: the same server gives the same bytes.
type Report struct {
	Model   string `json:"model"`
	Version string `json:"version"`
	Digest  string `json:"digest"` // sha256 of the GGUF file
	NumCtx  int    `json:"num_ctx"`
	// TemplateEqual: the server renders a conversation as training did; TokensEqual: and counts as
	// many tokens in it.
	TemplateEqual bool         `json:"template_equal"`
	TokensEqual   bool         `json:"tokens_equal"`
	Passed        int          `json:"passed"`
	Failed        int          `json:"failed"`
	Tests         []TestReport `json:"tests"`
}

// TestReport is one question with its assertion.
type TestReport struct {
	Name     string `json:"name"`
	Prompt   string `json:"prompt"`
	Expected string `json:"expected"`
	Output   string `json:"output"`
	Required bool   `json:"required"`
	Passed   bool   `json:"passed"`
	Why      string `json:"why,omitempty"`
}

// serveAndAsk uploads and creates the model, compares the template and asks the questions. The
// speed is in generated tokens a second.
func serveAndAsk(ctx context.Context, a *plugins.Attempt, c Config, cl *client, model *modelfile.Model) (*Report, float64, error) {
	version, err := cl.version(ctx)
	if err != nil {
		return nil, 0, plugins.Errorf(plugins.Unavailable, "asking Ollama for its version: %w", err)
	}
	r := &Report{Model: c.Name, Version: version, NumCtx: c.NumCtx}
	if r.NumCtx == 0 {
		r.NumCtx = model.Config.OriginalMaxPositions
	}
	if r.Digest, err = fileDigest(c.GGUF); err != nil {
		return nil, 0, err
	}
	if err := cl.push(ctx, c.GGUF, r.Digest, func(done, total int64) { a.Progress(done, total, "bytes") }); err != nil {
		return nil, 0, err
	}
	p := parameters{NumCtx: r.NumCtx, RepeatPenalty: 1, Seed: 1, Stop: []string{chat.End, chat.EndOfText}}
	if err := cl.create(ctx, c.Name, r.Digest, chat.Ollama, p); err != nil {
		return nil, 0, err
	}
	if err := r.compareTemplate(ctx, cl, model.Template); err != nil {
		return nil, 0, err
	}
	var tokens int
	var nanoseconds int64
	questions := questions(c)
	for i, q := range questions {
		a.Progress(int64(i), int64(len(questions)), "test")
		reply, err := cl.chat(ctx, c.Name, []message{{"user", q.prompt}}, q.tokens)
		if err != nil {
			return nil, 0, fmt.Errorf("asking test %q: %w", q.name, err)
		}
		tokens, nanoseconds = tokens+reply.Count, nanoseconds+reply.Duration
		r.add(q, reply.Message.Content)
	}
	a.Progress(int64(len(questions)), int64(len(questions)), "test")
	speed := 0.0
	if nanoseconds > 0 {
		speed = float64(tokens) / (float64(nanoseconds) / 1e9)
	}
	return r, speed, nil
}

// compareTemplate holds the server's rendering of a conversation against ours. A difference means
// that the model is asked in a form that it was never taught: that fails the stage.
func (r *Report) compareTemplate(ctx context.Context, cl *client, template *chat.Template) error {
	ours := []chat.Message{{Role: "system", Content: "規程に従って判定する。"}, {Role: "user", Content: "港の荷役計画とは何ですか。"}}
	theirs := make([]message, len(ours))
	for i, m := range ours {
		theirs[i] = message{m.Role, m.Content}
	}
	rendered, err := cl.render(ctx, r.Model, theirs)
	if err != nil {
		return err
	}
	ids, err := template.Prompt(ours)
	if err != nil {
		return err
	}
	reply, err := cl.chat(ctx, r.Model, theirs, 1)
	if err != nil {
		return err
	}
	want := chat.Render(ours, true)
	r.TemplateEqual, r.TokensEqual = rendered == want, reply.PromptCount == len(ids)
	if !r.TemplateEqual {
		return plugins.Errorf(plugins.Gate, "the server renders %q, training rendered %q", rendered, want)
	}
	if !r.TokensEqual {
		return plugins.Errorf(plugins.Gate, "the server counts %d tokens in a prompt of %d: another tokenizer", reply.PromptCount, len(ids))
	}
	return nil
}

func (r *Report) add(q question, output string) {
	t := TestReport{Name: q.name, Prompt: q.prompt, Expected: q.expected, Output: output, Required: q.required}
	t.Why = q.check(output)
	if t.Passed = t.Why == ""; t.Passed {
		r.Passed++
	} else {
		r.Failed++
	}
	r.Tests = append(r.Tests, t)
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the model: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("reading the model: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

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

func (t *transcript) add(method, path string, request, response any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	encoder := json.NewEncoder(t.w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(map[string]any{"method": method, "path": path, "request": request, "response": response}); err != nil && t.err == nil {
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
