package chat

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// WriteFolder writes what transformers reads beside config.json and the weights: the tokenizer,
// whose bytes file is, with this package's format. positions is the model's longest sequence.
func WriteFolder(dir string, file []byte, tok *tokenizer.Tokenizer, positions int) error {
	type added struct {
		Content    string `json:"content"`
		LStrip     bool   `json:"lstrip"`
		Normalized bool   `json:"normalized"`
		RStrip     bool   `json:"rstrip"`
		SingleWord bool   `json:"single_word"`
		Special    bool   `json:"special"`
	}
	ids, decoder := map[string]int32{}, map[string]added{}
	for _, a := range tok.Added() {
		ids[a.Content] = a.ID
		decoder[strconv.Itoa(int(a.ID))] = added{a.Content, a.LStrip, a.Normalized, a.RStrip, a.SingleWord, a.Special}
	}
	special := map[string]any{"bos_token": EndOfText, "eos_token": EndOfText, "pad_token": EndOfText, "unk_token": EndOfText}
	config := map[string]any{
		"add_bos_token": false, "add_eos_token": false, "add_prefix_space": false,
		"added_tokens_decoder":         decoder,
		"chat_template":                Jinja,
		"clean_up_tokenization_spaces": false,
		"model_max_length":             positions,
		"tokenizer_class":              "GPT2Tokenizer",
	}
	for name, token := range special {
		config[name] = token
	}
	generation := map[string]any{
		"_from_model_config": true, "bos_token_id": ids[EndOfText], "eos_token_id": []int32{ids[End], ids[EndOfText]}, "pad_token_id": ids[EndOfText],
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), file, 0o644); err != nil {
		return fmt.Errorf("writing model: %w", err)
	}
	for name, content := range map[string]any{
		configName: config, "generation_config.json": generation, "special_tokens_map.json": special,
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
