package ollama

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
)

// Parity is what the comparison of the server's template with that of the training found.
type Parity struct {
	Conversations int `json:"conversations"`
	// Rendered counts those whose prompt the server showed: a server may not tell.
	Rendered int `json:"rendered"`
	// Tokens are what both count in all prompts together.
	Tokens int `json:"tokens"`
	// Replied are the tokens of the greedy replies, which were the same.
	Replied int `json:"replied"`
}

// replyTokens is how long a compared reply is at most.
const replyTokens = 16

// conversations are the ones compared: each role, turns, line feeds, marks, widths and scripts.
var conversations = [][]chat.Message{
	{{Role: "user", Content: "2+2はいくつですか。簡潔に答えてください。"}},
	{{Role: "system", Content: "規程に従って判定する。"}, {Role: "user", Content: "港の荷役計画とは何ですか。"}},
	{{Role: "user", Content: "了解？"}, {Role: "assistant", Content: "はい。\n承知しました。"}, {Role: "user", Content: "では、ＡＢＣ・123を説明して。"}},
	{{Role: "system", Content: "You are careful; answer in one line."}, {Role: "user", Content: "{\"a\": [1, 2], \"b\": \"{{ x }} < y & z\"}\n\n  ok?"}},
}

// compareTemplate asks the server the same in two ways: as a conversation, and as the text that
// training makes of it. The prompt's text, when the server tells it, its number of tokens and the
// greedy reply must be equal: else the model would be asked in a form that it was never taught.
func (c *client) compareTemplate(ctx context.Context, model string, template *chat.Template, numCtx int) (Parity, error) {
	var p Parity
	for i, messages := range conversations {
		ids, err := template.Prompt(messages)
		if err != nil {
			return p, err
		}
		if len(ids)+replyTokens > numCtx {
			continue
		}
		if err := c.compare(ctx, model, messages, len(ids), i == 0, &p); err != nil {
			return p, err
		}
		p.Conversations++
	}
	if p.Conversations == 0 {
		return p, plugins.Errorf(plugins.BadInput, "num_ctx %d is too short for any of the conversations that are compared", numCtx)
	}
	return p, nil
}

func (c *client) compare(ctx context.Context, model string, messages []chat.Message, tokens int, first bool, p *Parity) error {
	want := chat.Render(messages, true)
	rendered, err := c.render(ctx, model, messages)
	if err != nil {
		return c.explain("asking for the rendered prompt", err)
	}
	if rendered != "" && rendered != want {
		return plugins.Errorf(plugins.Gate, "the server renders %q, training rendered %q", rendered, want)
	}
	if rendered != "" {
		p.Rendered++
	}
	asked, err := c.chat(ctx, model, messages, replyTokens)
	if err != nil {
		return c.firstAnswer(err, first)
	}
	if asked.PromptCount != tokens {
		return plugins.Errorf(plugins.Gate, "the server counts %d tokens in a prompt of %d (%q): another tokenizer, or another template", asked.PromptCount, tokens, want)
	}
	raw, err := c.raw(ctx, model, want, replyTokens)
	if err != nil {
		return c.explain("asking with a raw prompt", err)
	}
	if raw.PromptCount != tokens {
		return plugins.Errorf(plugins.Gate, "the server counts %d tokens in the raw prompt %q of %d: another tokenizer", raw.PromptCount, want, tokens)
	}
	if raw.text != asked.text || raw.Count != asked.Count {
		return plugins.Errorf(plugins.Gate, "to %q the server answers %q as a conversation and %q to the prompt that training makes of it", want, asked.text, raw.text)
	}
	p.Tokens, p.Replied = p.Tokens+tokens, p.Replied+asked.Count
	return nil
}

// firstAnswer explains why a model that was created does not answer: a server takes files that it
// cannot load, and says so only now.
func (c *client) firstAnswer(err error, first bool) error {
	var refused *refusal
	if first && errors.As(err, &refused) && !strings.Contains(refused.message, "memory") {
		return plugins.Errorf(plugins.Gate, "Ollama created the model and cannot run it: %w; see the server's log", refused)
	}
	return c.explain("asking the model for its first answer", err)
}

// checkContext refuses a server that gave the model another context than its parameters say: a
// longer one than the original context would switch the rotary factors of every token.
func (c *client) checkContext(ctx context.Context, model string, numCtx int) error {
	var running struct {
		Models []struct {
			Name    string
			Context int `json:"context_length"`
		}
	}
	if err := c.get(ctx, http.MethodGet, "/api/ps", nil, &running); err != nil {
		return c.explain("asking for the running models", err)
	}
	for _, m := range running.Models {
		if strings.EqualFold(m.Name, model) && m.Context != 0 && m.Context != numCtx {
			return plugins.Errorf(plugins.Gate, "the server runs the model with a context of %d tokens instead of %d", m.Context, numCtx)
		}
	}
	return nil
}
