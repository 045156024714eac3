package ollama

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/so8t/so8t/plugins"
)

// errSilent ends a request in which nothing moves any more.
var errSilent = errors.New("it has been silent for too long")

// refusal is an error that a server answered, with status 200 when it came inside a stream.
type refusal struct {
	status  int
	message string
}

func (e *refusal) Error() string {
	if e.status == http.StatusOK {
		return e.message
	}
	return fmt.Sprintf("%d: %s", e.status, e.message)
}

// unreachableError is a server that did not answer.
type unreachableError struct{ cause error }

func (e *unreachableError) Error() string { return e.cause.Error() }

// Unwrap gives the cause.
func (e *unreachableError) Unwrap() error { return e.cause }

// cutError is an answer that ends before its last line.
type cutError struct{ cause error }

func (e *cutError) Error() string { return "the answer ends in the middle: " + e.cause.Error() }

// Unwrap gives the cause.
func (e *cutError) Unwrap() error { return e.cause }

// absent reports whether the server answered that it has no such thing.
func absent(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == http.StatusNotFound
}

// refusals are what is known of the texts with which servers refuse, most specific first.
var refusals = []struct {
	text   string
	code   plugins.Code
	advice string
}{
	{"no space left", plugins.OutOfDisk, "free space where the server keeps its models (OLLAMA_MODELS) and run again"},
	{"disk quota", plugins.OutOfDisk, "free space where the server keeps its models (OLLAMA_MODELS) and run again"},
	{"digest mismatch", plugins.BadInput, "other bytes arrived than were read: the file changed meanwhile, or the connection garbles; run again (the server drops the rejected copy when it is started next)"},
	{"invalid model name", plugins.BadInput, "choose another name"},
	{"more system memory", plugins.OutOfMemory, "free memory on the server's machine, or serve a type with fewer bits"},
	{"unable to load model", plugins.Gate, "the server took the file and cannot load it: see the server's log, and update Ollama if the file loads elsewhere"},
	{"not in GGUF format", plugins.BadInput, "export the model anew"},
	{"exceeds file size", plugins.BadInput, "the file is cut short: export the model anew"},
}

// explain classes what went wrong in an exchange and says what to do about it.
func (c *client) explain(doing string, err error) error {
	var typed *plugins.Error
	var refused *refusal
	var cut *cutError
	var unreachable *unreachableError
	switch {
	case err == nil || errors.As(err, &typed):
		return err
	case errors.Is(err, errSilent):
		return plugins.Errorf(plugins.Timeout, "%s: the Ollama server at %s has been silent for %v; it hangs, or needs more time: restart it, or raise patience (what is uploaded is not uploaded again)", doing, c.base, c.patience)
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.As(err, &refused):
		for _, known := range refusals {
			if strings.Contains(refused.message, known.text) {
				return plugins.Errorf(known.code, "%s: Ollama refuses: %w; %s", doing, refused, known.advice)
			}
		}
		code := plugins.BadInput
		if refused.status == http.StatusForbidden || refused.status >= http.StatusInternalServerError {
			code = plugins.Unavailable
		}
		return plugins.Errorf(code, "%s: Ollama refuses: %w; see the server's log", doing, refused)
	case errors.As(err, &cut):
		return plugins.Errorf(plugins.Unavailable, "%s: the Ollama server at %s went away: %w; see its log, start it and run again", doing, c.base, cut)
	case errors.As(err, &unreachable):
		return plugins.Errorf(plugins.Unavailable, "%s: the Ollama server at %s cannot be reached: %w; start it, or unset OLLAMA_HOST and have one started", doing, c.base, unreachable)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
