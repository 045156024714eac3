// Package chat is Phi-4-mini's conversation format: how messages become text, token ids
// and a loss mask, the same in training, scoring and serving.
//
// Control tokens are put in by id and content is encoded as ordinary text, so that no
// message can end its own turn.
package chat

import (
	"errors"
	"fmt"
	"strings"

	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// The template in the three languages that ask for it.
const (
	// Jinja is Phi-4-mini-instruct's own, for tokenizer_config.json and GGUF.
	Jinja = `{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message and message['tools'] is not none %}` +
		`{{ '<|' + message['role'] + '|>' + message['content'] + '<|tool|>' + message['tools'] + '<|/tool|>' + '<|end|>' }}` +
		`{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}` +
		`{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}`
	// Ollama is the same without tools, as a Go template for Ollama's TEMPLATE.
	Ollama = `{{- range .Messages }}<|{{ .Role }}|>{{ .Content }}<|end|>{{ end }}<|assistant|>`
)

// The control tokens.
const (
	EndOfText = "<|endoftext|>"
	System    = "<|system|>"
	User      = "<|user|>"
	Assistant = "<|assistant|>"
	End       = "<|end|>"
	toolOpen  = "<|tool|>"
	toolClose = "<|/tool|>"
)

// ControlTokens are all the tokens of the format: what no message may contain.
var ControlTokens = []string{EndOfText, "<|endofprompt|>", Assistant, End, User, System, toolOpen, toolClose,
	"<|tool_call|>", "<|/tool_call|>", "<|tool_response|>", "<|tag|>"}

// Message is one turn.
type Message struct {
	Role    string `json:"role"` // system, user, assistant
	Content string `json:"content"`
	// Tools is the JSON text of a system message's tools; "" = none.
	Tools string `json:"tools,omitempty"`
}

// Render writes messages as the template does. With prompt it ends where the answer
// begins, else with the end of the text.
func Render(messages []Message, prompt bool) string {
	var sb strings.Builder
	for _, m := range messages {
		sb.WriteString("<|" + m.Role + "|>" + m.Content)
		if m.Role == "system" && m.Tools != "" {
			sb.WriteString(toolOpen + m.Tools + toolClose)
		}
		sb.WriteString(End)
	}
	if prompt {
		sb.WriteString(Assistant)
	} else {
		sb.WriteString(EndOfText)
	}
	return sb.String()
}

// Template renders to token ids with one tokenizer.
type Template struct {
	tok   *tokenizer.Tokenizer
	roles map[string]int32
	end   int32
	eos   int32
}

// New needs a tokenizer that has the control tokens.
func New(tok *tokenizer.Tokenizer) (*Template, error) {
	t := &Template{tok: tok, roles: map[string]int32{}}
	var missing []string
	id := func(content string) int32 {
		n, ok := tok.AddedID(content)
		if !ok {
			missing = append(missing, content)
		}
		return n
	}
	t.roles["system"], t.roles["user"], t.roles["assistant"] = id(System), id(User), id(Assistant)
	t.end, t.eos = id(End), id(EndOfText)
	if missing != nil {
		return nil, fmt.Errorf("chat format: the tokenizer lacks %s (a Phi-4-mini vocabulary has them)", strings.Join(missing, " "))
	}
	return t, nil
}

// Tokenizer returns the tokenizer.
func (t *Template) Tokenizer() *tokenizer.Tokenizer { return t.tok }

// Stop returns the ids at which generation ends: the end of a turn and of the text.
func (t *Template) Stop() []int32 { return []int32{t.end, t.eos} }

// Example returns a whole conversation's ids and which of them a model learns to say: the
// assistant's content and the end of its turns.
func (t *Template) Example(messages []Message) (ids []int32, learn []bool, err error) {
	ids, learn, err = t.turns(messages)
	if err != nil {
		return nil, nil, err
	}
	return append(ids, t.eos), append(learn, false), nil
}

// Prompt returns the ids up to where the assistant's answer begins.
func (t *Template) Prompt(messages []Message) ([]int32, error) {
	ids, _, err := t.turns(messages)
	if err != nil {
		return nil, err
	}
	return append(ids, t.roles["assistant"]), nil
}

func (t *Template) turns(messages []Message) (ids []int32, learn []bool, err error) {
	if len(messages) == 0 {
		return nil, nil, errors.New("a conversation without messages")
	}
	for i, m := range messages {
		role, ok := t.roles[m.Role]
		if !ok {
			return nil, nil, fmt.Errorf("message %d: role %q is none of system, user, assistant", i+1, m.Role)
		}
		ids = append(ids, role)
		ids = t.tok.AppendEncode(ids, m.Content)
		if m.Role == "system" && m.Tools != "" {
			if ids, err = t.appendTools(ids, m.Tools); err != nil {
				return nil, nil, err
			}
		}
		said := m.Role == "assistant"
		learn = append(learn, false)
		ids = append(ids, t.end)
		for len(learn) < len(ids) {
			learn = append(learn, said)
		}
	}
	return ids, learn, nil
}

func (t *Template) appendTools(ids []int32, tools string) ([]int32, error) {
	open, ok1 := t.tok.AddedID(toolOpen)
	closing, ok2 := t.tok.AddedID(toolClose)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("chat format: the tokenizer lacks %s or %s", toolOpen, toolClose)
	}
	return append(t.tok.AppendEncode(append(ids, open), tools), closing), nil
}

// Line is a prompt with one possible first line of the answer behind it.
type Line struct {
	IDs []int32
	// From is the index of the first token that differs between the lines. The score is
	// the sum of log p(IDs[i] | IDs[:i]) for From ≤ i < len(IDs): through the line's end,
	// never divided by a length.
	From int
}

// Lines appends each line, which must end with a line feed, to the prompt of messages. A
// line is tokenised whole, because the space before a word belongs to the word's token.
func (t *Template) Lines(messages []Message, lines []string) ([]Line, error) {
	prompt, err := t.Prompt(messages)
	if err != nil {
		return nil, err
	}
	if len(lines) < 2 {
		return nil, fmt.Errorf("scoring needs at least 2 lines, %d given", len(lines))
	}
	out := make([]Line, len(lines))
	for i, line := range lines {
		if !strings.HasSuffix(line, "\n") {
			return nil, fmt.Errorf("scored line %q does not end with a line feed", line)
		}
		out[i].IDs = t.tok.AppendEncode(prompt[:len(prompt):len(prompt)], line)
	}
	from := len(prompt)
	for same(out, from) {
		from++
	}
	for i := range out {
		if from >= len(out[i].IDs) {
			return nil, fmt.Errorf("scored line %q is the beginning of another", lines[i])
		}
		out[i].From = from
	}
	return out, nil
}

// same reports whether all lines have the same token at i.
func same(lines []Line, i int) bool {
	for _, l := range lines {
		if i >= len(l.IDs) || l.IDs[i] != lines[0].IDs[i] {
			return false
		}
	}
	return true
}
