package ollama

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/so8t/so8t/stages/internal/chat"
)

// answer is a reply, whole.
type answer struct {
	Message struct {
		Content string `json:"content"`
	} `json:"message"`
	Response       string  `json:"response"` // of a raw prompt, in place of Message
	Done           bool    `json:"done"`
	PromptCount    int     `json:"prompt_eval_count"`
	PromptDuration int64   `json:"prompt_eval_duration"` // ns
	Count          int     `json:"eval_count"`
	Duration       int64   `json:"eval_duration"` // ns
	Scores         []score `json:"logprobs"`
	Debug          struct {
		Rendered string `json:"rendered_template"`
	} `json:"_debug_info"`

	text string
	// first and whole are how long the first token and the whole answer took.
	first, whole time.Duration
}

// score is a token and its log-probability, at temperature 1 whatever is set; Top are the most
// probable ones in its place.
type score struct {
	Bytes   []int   `json:"bytes"`
	LogProb float64 `json:"logprob"`
	Top     []score `json:"top_logprobs"`
}

// options of a request for at most limit tokens, beside what the model itself sets.
func (c *client) options(limit int) map[string]any {
	o := map[string]any{"num_predict": limit}
	if c.threads > 0 {
		o["num_thread"] = c.threads
	}
	return o
}

// converse sends a request for tokens and puts the stream together. An answer ends with a line that
// says done; one that ends otherwise was cut.
func (c *client) converse(ctx context.Context, path string, request map[string]any) (answer, error) {
	var all answer
	var text strings.Builder
	begun := time.Now()
	err := c.ask(ctx, http.MethodPost, path, request, func(line json.RawMessage) (bool, error) {
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			return false, fmt.Errorf("reading the answer: %w", err)
		}
		text.WriteString(a.Message.Content + a.Response)
		if all.first == 0 {
			all.first = time.Since(begun)
		}
		a.Scores, a.first = append(all.Scores, a.Scores...), all.first
		all = a
		return a.Done || a.Debug.Rendered != "", nil
	})
	all.text, all.whole = text.String(), time.Since(begun)
	return all, err
}

// say is the request for at most limit tokens after a conversation. What is too long is refused
// instead of cut silently.
func (c *client) say(model string, messages []chat.Message, limit int) map[string]any {
	return map[string]any{
		"model": model, "messages": messages, "truncate": false, "shift": false, "options": c.options(limit),
	}
}

// continued is the request for at most limit tokens after a text that is a whole prompt.
func (c *client) continued(model, text string, limit int) map[string]any {
	return map[string]any{
		"model": model, "prompt": text, "raw": true, "truncate": false, "shift": false, "options": c.options(limit),
	}
}

// chat asks for an answer to a conversation.
func (c *client) chat(ctx context.Context, model string, messages []chat.Message, limit int) (answer, error) {
	return c.converse(ctx, "/api/chat", c.say(model, messages, limit))
}

// raw asks for what follows a text.
func (c *client) raw(ctx context.Context, model, text string, limit int) (answer, error) {
	return c.converse(ctx, "/api/generate", c.continued(model, text, limit))
}

// mostTop is how many of the most probable tokens a server names.
const mostTop = 20

// scores asks for the first token after a text with the most probable ones in its place.
func (c *client) scores(ctx context.Context, model, text string) (answer, error) {
	request := c.continued(model, text, 1)
	request["logprobs"], request["top_logprobs"] = true, mostTop
	return c.converse(ctx, "/api/generate", request)
}

// render returns the prompt that the server makes of a conversation, "" when it does not tell.
func (c *client) render(ctx context.Context, model string, messages []chat.Message) (string, error) {
	request := c.say(model, messages, 1)
	request["_debug_render_only"], request["stream"] = true, false
	a, err := c.converse(ctx, "/api/chat", request)
	return a.Debug.Rendered, err
}
