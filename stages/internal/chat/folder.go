package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// Files of a Hugging Face folder that may carry a chat template.
const (
	configName   = "tokenizer_config.json"
	templateName = "chat_template.jinja"
)

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
	if err := checkTemplate(template); err != nil {
		return fmt.Errorf("model folder %q: its chat_template is not Phi-4-mini's (<|user|>…<|end|><|assistant|>…<|end|>), the only format that is supported: %w", dir, err)
	}
	return nil
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
