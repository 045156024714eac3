package base

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// vocabulary is what config.json says of a tokenizer.
type vocabulary struct {
	size     int
	end, eot int32 // <|end|> and <|endoftext|>
}

// padTo is what the model's vocabulary is a multiple of: rows that quantised formats and
// kernels take whole.
const padTo = 32

func vocabularyOf(tok *tokenizer.Tokenizer) (vocabulary, error) {
	v := vocabulary{size: (tok.Size() + padTo - 1) / padTo * padTo}
	for token, id := range map[string]*int32{chat.End: &v.end, chat.EndOfText: &v.eot} {
		got, ok := tok.AddedID(token)
		if !ok {
			return v, fmt.Errorf("tokenizer lacks %s", token)
		}
		*id = got
	}
	return v, nil
}

// writeTokenizer writes what transformers reads beside config.json and the weights.
func writeTokenizer(dir string, file []byte, tok *tokenizer.Tokenizer, v vocabulary, positions int) error {
	type added struct {
		Content    string `json:"content"`
		LStrip     bool   `json:"lstrip"`
		Normalized bool   `json:"normalized"`
		RStrip     bool   `json:"rstrip"`
		SingleWord bool   `json:"single_word"`
		Special    bool   `json:"special"`
	}
	decoder := map[string]added{}
	for _, a := range tok.Added() {
		decoder[strconv.Itoa(int(a.ID))] = added{a.Content, a.LStrip, a.Normalized, a.RStrip, a.SingleWord, a.Special}
	}
	config := map[string]any{
		"add_bos_token": false, "add_eos_token": false, "add_prefix_space": false,
		"added_tokens_decoder": decoder,
		"bos_token":            chat.EndOfText, "eos_token": chat.EndOfText, "pad_token": chat.EndOfText, "unk_token": chat.EndOfText,
		"chat_template":                chat.Jinja,
		"clean_up_tokenization_spaces": false,
		"model_max_length":             positions,
		"tokenizer_class":              "GPT2Tokenizer",
	}
	generation := map[string]any{
		"_from_model_config": true, "bos_token_id": v.eot, "eos_token_id": []int32{v.end, v.eot}, "pad_token_id": v.eot,
	}
	special := map[string]any{"bos_token": chat.EndOfText, "eos_token": chat.EndOfText, "pad_token": chat.EndOfText, "unk_token": chat.EndOfText}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), file, 0o644); err != nil {
		return fmt.Errorf("writing model: %w", err)
	}
	for name, content := range map[string]any{
		"tokenizer_config.json": config, "generation_config.json": generation, "special_tokens_map.json": special,
	} {
		b, err := json.MarshalIndent(content, "", "  ")
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), append(b, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("writing model: %w", err)
		}
	}
	return nil
}

// checkFolder refuses a folder that the stages below could not use.
func checkFolder(dir string) (*phi3.Config, error) {
	f, err := phi3.OpenFolder(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := chat.Open(dir); err != nil {
		return nil, err
	}
	return f.Config, nil
}
