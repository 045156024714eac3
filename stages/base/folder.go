package base

import (
	"fmt"

	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// vocabulary is what config.json says of a tokenizer.
type vocabulary struct {
	size int
	eot  int32 // <|endoftext|>
}

// padTo is what the model's vocabulary is a multiple of: rows that quantised formats and
// kernels take whole.
const padTo = 32

func vocabularyOf(tok *tokenizer.Tokenizer) (vocabulary, error) {
	v := vocabulary{size: (tok.Size() + padTo - 1) / padTo * padTo}
	var ok bool
	if v.eot, ok = tok.AddedID(chat.EndOfText); !ok {
		return v, fmt.Errorf("tokenizer lacks %s", chat.EndOfText)
	}
	return v, nil
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
