package base

import (
	"fmt"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/loop"
	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// corpus is the text to learn from, as tokens of the tokenizer that was learnt from it.
type corpus struct {
	tokenizerFile []byte
	tokenizer     *tokenizer.Tokenizer
	vocabulary    vocabulary
	rows          []loop.Row // a document each, all of it to be predicted
	tokens        int
	longest       int
}

// document is a row of the corpus: a conversation, or plain text.
type document struct {
	Messages []chat.Message
	Text     string
}

// learn trains the tokenizer and encodes the corpus with it.
func learn(c Config) (*corpus, error) {
	docs, err := readDocuments(c.Corpus)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	for _, d := range docs {
		for _, m := range d.Messages {
			text.WriteString(m.Content)
			text.WriteByte('\n')
		}
		text.WriteString(d.Text)
		text.WriteByte('\n')
	}
	t := &corpus{}
	t.tokenizerFile, err = tokenizer.Train(text.String(), tokenizer.TrainConfig{
		Size: c.Vocabulary, Added: chat.ControlTokens, Keep: c.Keep, MaxBytes: c.TokenBytes,
	})
	if err != nil {
		return nil, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	if t.tokenizer, err = tokenizer.Parse(t.tokenizerFile); err != nil {
		return nil, err
	}
	if t.vocabulary, err = vocabularyOf(t.tokenizer); err != nil {
		return nil, err
	}
	template, err := chat.New(t.tokenizer)
	if err != nil {
		return nil, err
	}
	for i, d := range docs {
		ids, err := t.encode(template, d)
		if err != nil {
			return nil, plugins.Errorf(plugins.BadInput, "corpus row %d: %w", i+1, err)
		}
		if len(ids) > c.Positions {
			return nil, plugins.Errorf(plugins.BadInput, "corpus row %d: %d tokens, the model has %d positions", i+1, len(ids), c.Positions)
		}
		t.rows = append(t.rows, loop.Row{Tokens: ids})
		t.tokens += len(ids)
		t.longest = max(t.longest, len(ids))
	}
	return t, nil
}

func (t *corpus) encode(template *chat.Template, d document) ([]int32, error) {
	if len(d.Messages) > 0 {
		ids, _, err := template.Example(d.Messages)
		return ids, err
	}
	if d.Text == "" {
		return nil, fmt.Errorf("neither text nor messages")
	}
	return append(t.tokenizer.Encode(d.Text), t.vocabulary.eot), nil
}
