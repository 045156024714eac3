package tokenizer

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// written is a tokenizer.json as this package writes it, with every key that Hugging
// Face's library expects. Pointers are null.
type written struct {
	Version       string          `json:"version"`
	Truncation    *int            `json:"truncation"`
	Padding       *int            `json:"padding"`
	AddedTokens   []AddedToken    `json:"added_tokens"`
	Normalizer    *int            `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor *int            `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         writtenModel    `json:"model"`
}

type writtenModel struct {
	Type         string          `json:"type"`
	Dropout      *float64        `json:"dropout"`
	Unknown      *string         `json:"unk_token"`
	Prefix       *string         `json:"continuing_subword_prefix"`
	Suffix       *string         `json:"end_of_word_suffix"`
	Fuse         bool            `json:"fuse_unk"`
	ByteFallback bool            `json:"byte_fallback"`
	IgnoreMerges bool            `json:"ignore_merges"`
	Vocab        json.RawMessage `json:"vocab"`
	Merges       [][2]string     `json:"merges"`
}

// encodeFile writes a tokenizer.json with o200k's pattern; added tokens get the ids that
// follow.
func encodeFile(tokens []string, merges []pair, added []string) ([]byte, error) {
	pairs := make([][2]string, len(merges))
	for i, m := range merges {
		pairs[i] = [2]string{tokens[m.left], tokens[m.right]}
	}
	control := make([]AddedToken, len(added))
	for i, content := range added {
		control[i] = AddedToken{ID: int32(len(tokens) + i), Content: content, Special: true}
	}
	return EncodeFile(tokens, pairs, control)
}

// EncodeFile writes a tokenizer.json with o200k's pattern of tokens and merges that are byte
// strings, tokens in the order of their ids and merges in the order of their rank.
func EncodeFile(tokens []string, merges [][2]string, control []AddedToken) ([]byte, error) {
	pairs := make([][2]string, len(merges))
	for i, m := range merges {
		pairs[i] = [2]string{spell(m[0]), spell(m[1])}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(written{
		Version:     "1.0",
		AddedTokens: control,
		PreTokenizer: json.RawMessage(`{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":` + quote(patternO200k) +
			`},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}`),
		Decoder: json.RawMessage(`{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}`),
		Model:   writtenModel{Type: "BPE", Vocab: vocabulary(tokens), Merges: pairs},
	})
	return out.Bytes(), err
}

// vocabulary writes the object of tokens in the order of their ids.
func vocabulary(tokens []string) []byte {
	out := []byte{'{'}
	for id, t := range tokens {
		if id > 0 {
			out = append(out, ',')
		}
		out = append(append(out, quote(spell(t))...), ':')
		out = strconv.AppendInt(out, int64(id), 10)
	}
	return append(out, '}')
}

// quote writes a JSON string without escaping < > &.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return string(bytes.TrimRight(b.Bytes(), "\n"))
}
