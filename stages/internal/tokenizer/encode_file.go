package tokenizer

import (
	"bytes"
	"encoding/json"
)

// encodeFile writes a tokenizer.json with o200k's pattern. The vocabulary stands in the
// order of its ids.
func encodeFile(tokens []string, merges []pair, added []string) ([]byte, error) {
	var vocab bytes.Buffer
	vocab.WriteByte('{')
	for id, t := range tokens {
		if id > 0 {
			vocab.WriteByte(',')
		}
		vocab.Write(quote(spell(t)))
		vocab.WriteByte(':')
		n, err := json.Marshal(id)
		if err != nil {
			return nil, err
		}
		vocab.Write(n)
	}
	vocab.WriteByte('}')
	pairs := make([][2]string, len(merges))
	for i, m := range merges {
		pairs[i] = [2]string{spell(tokens[m.left]), spell(tokens[m.right])}
	}
	control := make([]AddedToken, len(added))
	for i, content := range added {
		control[i] = AddedToken{ID: int32(len(tokens) + i), Content: content, Special: true}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(struct {
		Version       string          `json:"version"`
		Truncation    *int            `json:"truncation"`
		Padding       *int            `json:"padding"`
		AddedTokens   []AddedToken    `json:"added_tokens"`
		Normalizer    *int            `json:"normalizer"`
		PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
		PostProcessor *int            `json:"post_processor"`
		Decoder       json.RawMessage `json:"decoder"`
		Model         any             `json:"model"`
	}{
		Version:     "1.0",
		AddedTokens: control,
		PreTokenizer: json.RawMessage(`{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":` + string(quote(patternO200k)) +
			`},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}`),
		Decoder: json.RawMessage(`{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}`),
		Model: struct {
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
		}{Type: "BPE", Vocab: vocab.Bytes(), Merges: pairs},
	})
	return out.Bytes(), err
}

// quote writes a JSON string without escaping < > &.
func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return bytes.TrimRight(b.Bytes(), "\n")
}
