package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// fileName of a tokenizer in a Hugging Face folder.
const fileName = "tokenizer.json"

// document is the part of tokenizer.json that is understood. What is present and not
// understood is refused where it changes ids.
type document struct {
	AddedTokens  []AddedToken    `json:"added_tokens"`
	Normalizer   json.RawMessage `json:"normalizer"`
	PreTokenizer preTokenizer    `json:"pre_tokenizer"`
	Decoder      *struct {
		Type string `json:"type"`
	} `json:"decoder"`
	Model model `json:"model"`
}

type preTokenizer struct {
	Type          string         `json:"type"`
	Pretokenizers []preTokenizer `json:"pretokenizers"`
	Pattern       struct {
		Regex  string `json:"Regex"`
		String string `json:"String"`
	} `json:"pattern"`
	Behavior       string `json:"behavior"`
	Invert         bool   `json:"invert"`
	AddPrefixSpace bool   `json:"add_prefix_space"`
	UseRegex       *bool  `json:"use_regex"` // absent = true
}

type model struct {
	Type         string           `json:"type"`
	Dropout      *float64         `json:"dropout"`
	Prefix       *string          `json:"continuing_subword_prefix"`
	Suffix       *string          `json:"end_of_word_suffix"`
	ByteFallback bool             `json:"byte_fallback"`
	IgnoreMerges bool             `json:"ignore_merges"`
	Vocab        map[string]int32 `json:"vocab"`
	Merges       mergeList        `json:"merges"`
}

// mergeList reads both spellings: ["a","b"] and, by older writers, "a b".
type mergeList [][2]string

func (l *mergeList) UnmarshalJSON(raw []byte) error {
	first := bytes.TrimLeft(bytes.TrimPrefix(bytes.TrimSpace(raw), []byte("[")), " \t\r\n")
	if !bytes.HasPrefix(first, []byte{'"'}) {
		var pairs [][2]string
		err := json.Unmarshal(raw, &pairs)
		*l = pairs
		return err
	}
	var lines []string
	if err := json.Unmarshal(raw, &lines); err != nil {
		return err
	}
	for _, s := range lines {
		a, b, ok := strings.Cut(s, " ")
		if !ok {
			return fmt.Errorf("merge %q is no pair", s)
		}
		*l = append(*l, [2]string{a, b})
	}
	return nil
}

// Open reads tokenizer.json: the file, or the one in a Hugging Face folder.
func Open(path string) (*Tokenizer, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		path = filepath.Join(path, fileName)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading tokenizer: %w", err)
	}
	t, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("reading tokenizer %q: %w", path, err)
	}
	return t, nil
}

// Parse reads the text of a tokenizer.json.
func Parse(raw []byte) (*Tokenizer, error) {
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	if err := d.supported(); err != nil {
		return nil, err
	}
	split, err := d.PreTokenizer.splitter()
	if err != nil {
		return nil, err
	}
	return build(d.Model.Vocab, d.Model.Merges, d.AddedTokens, split, d.Model.IgnoreMerges)
}

func (d *document) supported() error {
	m := &d.Model
	switch {
	case m.Type != "BPE":
		return fmt.Errorf("model of type %q is not supported (byte-level BPE is)", m.Type)
	case m.Dropout != nil && *m.Dropout != 0:
		return errors.New("a model with dropout has no fixed ids")
	case m.Prefix != nil && *m.Prefix != "", m.Suffix != nil && *m.Suffix != "":
		return errors.New("a model with subword prefix or suffix is not supported")
	case m.ByteFallback:
		return errors.New("byte_fallback (a SentencePiece vocabulary) is not supported (byte-level BPE is)")
	case d.Decoder != nil && d.Decoder.Type != "ByteLevel":
		return fmt.Errorf("decoder of type %q is not supported (ByteLevel is)", d.Decoder.Type)
	}
	if n := bytes.TrimSpace(d.Normalizer); len(n) > 0 && !bytes.Equal(n, []byte("null")) {
		return fmt.Errorf("normalizer %s is not supported (null is)", n)
	}
	return nil
}

// splitter understands Sequence[Split(pattern), ByteLevel] and ByteLevel alone.
func (p *preTokenizer) splitter() (splitter, error) {
	switch p.Type {
	case "ByteLevel":
		if p.AddPrefixSpace {
			return nil, errors.New("pre-tokenizer ByteLevel with add_prefix_space is not supported")
		}
		if p.UseRegex != nil && !*p.UseRegex {
			return func(s string) int { return len(s) }, nil
		}
		return splitGPT2, nil
	case "Sequence":
		return p.sequence()
	}
	return nil, fmt.Errorf("pre-tokenizer of type %q is not supported (a known Split and ByteLevel are)", p.Type)
}

func (p *preTokenizer) sequence() (splitter, error) {
	parts := p.Pretokenizers
	if len(parts) != 2 || parts[0].Type != "Split" || parts[1].Type != "ByteLevel" {
		return nil, errors.New("pre-tokenizer sequence is not Split, ByteLevel")
	}
	s, b := parts[0], parts[1]
	if b.AddPrefixSpace || b.UseRegex == nil || *b.UseRegex {
		return nil, errors.New("pre-tokenizer ByteLevel after a Split must have use_regex and add_prefix_space false")
	}
	// Both spellings mean the same for a pattern that matches every text: the matches
	// themselves are the pieces.
	if !(s.Behavior == "Isolated" && !s.Invert) && !(s.Behavior == "Removed" && s.Invert) {
		return nil, fmt.Errorf("pre-tokenizer Split with behavior %q, invert %t is not supported", s.Behavior, s.Invert)
	}
	return splitterFor(s.Pattern.Regex)
}
