package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// Files of a Hugging Face folder that may carry a chat template.
const (
	configName   = "tokenizer_config.json"
	templateName = "chat_template.jinja"
)

// equivalents are templates that render like Jinja wherever this format is used.
var equivalents = []string{
	Jinja,
	// The same for models without tools.
	`{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}` +
		`{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}`,
	`{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}` +
		`{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ '<|endoftext|>' }}{% endif %}`,
}

// Open reads the tokenizer of a Hugging Face folder and checks that the folder's chat
// template, if it has one, is this format.
func Open(dir string) (*Template, error) {
	if err := CheckFolder(dir); err != nil {
		return nil, err
	}
	tok, err := tokenizer.Open(dir)
	if err != nil {
		return nil, err
	}
	t, err := New(tok)
	if err != nil {
		return nil, fmt.Errorf("model folder %q: %w", dir, err)
	}
	return t, nil
}

// CheckFolder refuses a folder whose chat template is another format than this one: its
// model expects conversations that would never be written.
func CheckFolder(dir string) error {
	template, eos, err := folderTemplate(dir)
	if err != nil {
		return fmt.Errorf("model folder %q: %w", dir, err)
	}
	if eos != "" && eos != EndOfText {
		return fmt.Errorf("model folder %q: eos_token is %q, the chat format of Phi-4-mini ends with %q", dir, eos, EndOfText)
	}
	if template == "" {
		return nil
	}
	got := canonical(template)
	for _, e := range equivalents {
		if got == canonical(e) {
			return nil
		}
	}
	return fmt.Errorf("model folder %q: its chat_template is not Phi-4-mini's (<|user|>…<|end|><|assistant|>…<|end|>), the only one that is supported; it begins %q",
		dir, clip(template, 80))
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// folderTemplate returns a folder's default chat template and eos token, "" for what is
// not there. The template's own file wins, as in transformers.
func folderTemplate(dir string) (template, eos string, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, configName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	if err == nil {
		var c struct {
			Template json.RawMessage `json:"chat_template"`
			EOS      json.RawMessage `json:"eos_token"`
		}
		if err := json.Unmarshal(raw, &c); err != nil {
			return "", "", fmt.Errorf("reading %s: %w", configName, err)
		}
		template, eos = templateText(c.Template), tokenText(c.EOS)
	}
	own, err := os.ReadFile(filepath.Join(dir, templateName))
	if errors.Is(err, fs.ErrNotExist) {
		return template, eos, nil
	}
	return string(own), eos, err
}

// templateText reads a string, or the entry "default" of a list of named templates.
func templateText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var named []struct{ Name, Template string }
	if json.Unmarshal(raw, &named) == nil {
		for _, n := range named {
			if n.Name == "default" {
				return n.Template
			}
		}
	}
	return string(raw)
}

// tokenText reads a token written as a string or as an object with its content.
func tokenText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var o struct{ Content string }
	_ = json.Unmarshal(raw, &o) // no token is no token
	return o.Content
}

var tag = regexp.MustCompile(`(?s)\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}`)

// canonical writes a template so that texts that differ only in spelling are equal: white
// space that transformers' Jinja settings (trim_blocks, lstrip_blocks) or a tag's own "-"
// remove is removed, as are spaces inside tags; quotes are single, attributes subscripts.
func canonical(template string) string {
	const white = " \t\r\n"
	var out strings.Builder
	end, trim, lineStart := 0, false, true
	for _, at := range tag.FindAllStringIndex(template, -1) {
		text := template[end:at[0]]
		open, body, closing := template[at[0]:at[0]+2], template[at[0]+2:at[1]-2], template[at[1]-2:at[1]]
		end = at[1]
		if trim {
			text = strings.TrimLeft(text, white)
		}
		block := open != "{{"
		if b, ok := strings.CutPrefix(body, "-"); ok {
			body, text = b, strings.TrimRight(text, white)
		} else if cut := strings.TrimRight(text, " \t"); block && (cut == "" && lineStart || strings.HasSuffix(cut, "\n")) {
			text = cut // lstrip_blocks
		}
		body, trim = strings.CutSuffix(body, "-")
		out.WriteString(text)
		if open != "{#" {
			out.WriteString(open + compact(body) + closing)
		}
		lineStart = false
		if block && strings.HasPrefix(template[end:], "\n") {
			end++ // trim_blocks
			lineStart = true
		}
	}
	text := template[end:]
	if trim {
		text = strings.TrimLeft(text, white)
	}
	return out.String() + text
}

// compact removes white space outside quotes, except where it parts two words.
func compact(body string) string {
	body = strings.NewReplacer("message.role", "message['role']", "message.content", "message['content']",
		"message.tools", "message['tools']").Replace(body)
	var out strings.Builder
	quote, gap := byte(0), false
	for i := range len(body) {
		c := body[i]
		switch {
		case quote != 0:
			if c == quote {
				quote, c = 0, '\''
			}
		case c == '"' || c == '\'':
			quote, c = c, '\''
			gap = false
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			gap = true
			continue
		default:
			if s := out.String(); gap && isName(c) && s != "" && isName(s[len(s)-1]) {
				out.WriteByte(' ')
			}
			gap = false
		}
		out.WriteByte(c)
	}
	return out.String()
}

func isName(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
