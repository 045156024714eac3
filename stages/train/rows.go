package train

import (
	"context"
	"fmt"
	"slices"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/loop"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// data is what is learnt from, as the base's tokens.
type data struct {
	tokenizer         *tokenizer.Tokenizer
	train, validation []loop.Row
	tokens            int // of train
	longest           int // of both
	cut               int // rows of both that were truncated
}

// load reads and tokenises the dataset and, when there is one, the validation set.
func load(ctx context.Context, c Config) (data, error) {
	var d data
	template, err := chat.Open(c.Base)
	if err != nil {
		return d, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	d.tokenizer = template.Tokenizer()
	if err := fits(c.Base, template); err != nil {
		return d, err
	}
	if d.train, err = d.rows(ctx, template, c, c.Dataset); err != nil {
		return d, err
	}
	for _, r := range d.train {
		d.tokens += len(r.Tokens)
	}
	if c.Validation != "" {
		d.validation, err = d.rows(ctx, template, c, c.Validation)
	}
	return d, err
}

// fits refuses a tokenizer whose ids the model's embeddings do not hold.
func fits(base string, template *chat.Template) error {
	m, err := phi3.ReadConfig(base)
	if err != nil {
		return plugins.Errorf(plugins.BadInput, "%w", err)
	}
	if n := template.Tokenizer().Size(); n > m.Vocab {
		return plugins.Errorf(plugins.BadInput, "model folder %q: tokenizer.json has ids up to %d, vocab_size of config.json is %d: they belong to different models", base, n-1, m.Vocab)
	}
	return nil
}

func (d *data) rows(ctx context.Context, template *chat.Template, c Config, path string) ([]loop.Row, error) {
	rows, err := dataset.ReadFile(path, false)
	if err != nil {
		return nil, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	out := make([]loop.Row, 0, len(rows))
	learnt := false
	for i, r := range rows {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		name := r.ID
		if name == "" {
			name = fmt.Sprint(i + 1)
		}
		ids, learn, err := template.Example(r.Messages)
		if err != nil {
			return nil, plugins.Errorf(plugins.BadInput, "%s: row %q: %w", path, name, err)
		}
		if len(ids) > c.Length {
			if c.Overflow != "truncate" {
				return nil, plugins.Errorf(plugins.BadInput,
					"%s: row %q has %d tokens, more than length %d: raise length, or set overflow: truncate to lose the end of such rows", path, name, len(ids), c.Length)
			}
			ids, learn = ids[:c.Length], learn[:c.Length]
			d.cut++
		}
		learnt = learnt || slices.Contains(learn, true)
		out = append(out, loop.Row{Tokens: ids, Learn: learn})
		d.longest = max(d.longest, len(ids))
	}
	if !learnt {
		return nil, plugins.Errorf(plugins.BadInput, "%s: no row has anything to learn: only what the assistant says is learnt", path)
	}
	return out, nil
}
