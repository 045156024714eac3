package ollama

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

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
	// TemplateEqual: the server renders conversations as training did, TokensEqual: and counts as many
	// tokens in them, RepliesEqual: and answers as it does to the prompt that training makes.
	TemplateEqual bool   `json:"template_equal"`
	TokensEqual   bool   `json:"tokens_equal"`
	RepliesEqual  bool   `json:"replies_equal"`
	Parity        Parity `json:"parity"`
	// CrossCheck is nil when it was not asked for.
	CrossCheck *CrossCheck `json:"cross_check,omitempty"`
	Passed     int         `json:"passed"`
	Failed     int         `json:"failed"`
	// Repeated counts the tests that were answered with the same text each time.
	Repeated int          `json:"repeated"`
	Tests    []TestReport `json:"tests"`
}

// TestReport is one question with its assertion.
type TestReport struct {
	Name     string `json:"name"`
	Prompt   string `json:"prompt"`
	Expected string `json:"expected"`
	Output   string `json:"output"`
	Required bool   `json:"required"`
	Passed   bool   `json:"passed"` // every time
	Why      string `json:"why,omitempty"`
	// Same: each time it was asked, the answer was the same text.
	Same bool `json:"same"`
}

// speeds adds up what answers took.
type speeds struct {
	answers                 int
	first, whole            time.Duration
	tokens, prompt          int
	decodeTime, prefillTime int64 // ns
}

func (s *speeds) add(a answer) {
	s.answers++
	s.first, s.whole = s.first+a.first, s.whole+a.whole
	s.tokens, s.decodeTime = s.tokens+a.Count, s.decodeTime+a.Duration
	s.prompt, s.prefillTime = s.prompt+a.PromptCount, s.prefillTime+a.PromptDuration
}

// metrics are what there is of them.
func (s *speeds) metrics(values map[string]float64) {
	rate := func(name string, n int, ns int64) {
		if n > 0 && ns > 0 {
			values[name] = float64(n) / (float64(ns) / 1e9)
		}
	}
	rate("tokens_per_second", s.tokens, s.decodeTime)
	rate("prompt_tokens_per_second", s.prompt, s.prefillTime)
	if s.answers > 0 {
		values["first_token_seconds"] = s.first.Seconds() / float64(s.answers)
		values["answer_seconds"] = s.whole.Seconds() / float64(s.answers)
	}
}

// session is one model being served and asked.
type session struct {
	a      *plugins.Attempt
	c      Config
	cl     *client
	model  *modelfile.Model
	report *Report
	speeds speeds
}

// serve puts the model on the server under a name of its own, proves that it is served as it was
// trained, asks the questions, and gives it its name when all that is required holds. A model that
// is refused is removed; one that could not be proven yet stays where the next attempt finds it.
func (s *session) serve(ctx context.Context, o offer) (err error) {
	name, err := s.cl.ready(ctx, s.c.Name, o, func(done, total int64) { s.a.Progress(done, total, "bytes") })
	defer func() {
		if err == nil || name == s.c.Name || name == "" || keepsTrial(err) || s.a.Stopping() {
			return
		}
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cl.patience)
		defer cancel()
		if removeErr := s.cl.remove(late, name); removeErr != nil {
			s.a.Warn(fmt.Sprintf("model %q was refused and could not be removed: %v; remove it with: ollama rm %s", name, removeErr, name))
		}
	}()
	if err != nil {
		return err
	}
	if err := s.prove(ctx, name); err != nil {
		return err
	}
	if err := s.askAll(ctx, name); err != nil {
		return err
	}
	if err := s.report.gate(); err != nil {
		return err
	}
	if !s.c.Keep {
		return s.cl.explain("removing the model after its trial", s.cl.remove(ctx, name))
	}
	return s.cl.publish(ctx, name, s.c.Name, o)
}

// prove holds the served model against ours.
func (s *session) prove(ctx context.Context, name string) error {
	var err error
	if s.report.Parity, err = s.cl.compareTemplate(ctx, name, s.model.Template, s.report.NumCtx); err != nil {
		return err
	}
	s.report.TemplateEqual, s.report.TokensEqual, s.report.RepliesEqual = true, true, true
	if err := s.cl.checkContext(ctx, name, s.report.NumCtx); err != nil {
		return err
	}
	if !s.c.CrossCheck {
		return nil
	}
	check, err := s.cl.crossCheck(ctx, name, s.c)
	s.report.CrossCheck = &check
	return err
}

// askAll asks each question as often as it is to be repeated.
func (s *session) askAll(ctx context.Context, name string) error {
	list := questions(s.c)
	total := int64(len(list) * s.c.Repeats)
	for i, q := range list {
		var outputs []string
		for n := range s.c.Repeats {
			s.a.Progress(int64(i*s.c.Repeats+n), total, "answer")
			reply, err := s.cl.chat(ctx, name, []chat.Message{{Role: "user", Content: q.prompt}}, q.tokens)
			if err != nil {
				return s.cl.explain(fmt.Sprintf("asking test %q", q.name), err)
			}
			s.speeds.add(reply)
			outputs = append(outputs, reply.text)
		}
		s.report.add(q, outputs)
	}
	s.a.Progress(total, total, "answer")
	return nil
}

// add judges the answers to one question: each has to be right.
func (r *Report) add(q question, outputs []string) {
	t := TestReport{Name: q.name, Prompt: q.prompt, Expected: q.expected, Output: outputs[0], Required: q.required, Passed: true, Same: true}
	for n, output := range outputs {
		t.Same = t.Same && output == outputs[0]
		if why := q.check(output); why != "" && t.Passed {
			t.Passed, t.Why = false, why
			if n > 0 {
				t.Why = fmt.Sprintf("asked again: %s", why)
			}
		}
	}
	if t.Passed {
		r.Passed++
	} else {
		r.Failed++
	}
	if t.Same {
		r.Repeated++
	}
	r.Tests = append(r.Tests, t)
}

// gate fails the stage when a required test failed.
func (r *Report) gate() error {
	var failed []string
	for _, t := range r.Tests {
		if t.Required && !t.Passed {
			failed = append(failed, fmt.Sprintf("%s: %s", t.Name, t.Why))
		}
	}
	if failed == nil {
		return nil
	}
	return plugins.Errorf(plugins.Gate, "required tests failed, so the model did not get the name %q: %s", r.Model, strings.Join(failed, "; "))
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
