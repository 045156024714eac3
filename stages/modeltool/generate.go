package modeltool

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// generation is what the flags of generate say.
type generation struct {
	prompt, system, adapter string
	chat, json              bool
	max                     int
	temperature             float64
	seed                    uint64
	device                  device
}

var generate = command{
	name: "generate", usage: "PATH --prompt T [--chat] [--adapter DIR] [--max N] [--temperature T] [--json]", operands: 1,
	help: "what the model says after a prompt: greedy unless a temperature is given, as it comes",
	define: func(f *flags) func(context.Context, []string, streams) error {
		g := &generation{}
		f.StringVar(&g.prompt, "prompt", "", "the `text` to go on from")
		f.BoolVar(&g.chat, "chat", false, "the prompt is a user's turn of a conversation")
		f.StringVar(&g.system, "system", "", "system `text` of the conversation; with --chat")
		f.StringVar(&g.adapter, "adapter", "", "adapter `folder`; its gates come with it")
		f.IntVar(&g.max, "max", 256, "at most so `many` tokens")
		f.Float64Var(&g.temperature, "temperature", 0, "draw from softmax(logits/`T`); 0: always the most probable token")
		f.Uint64Var(&g.seed, "seed", 0, "`number` that the draws follow from")
		f.BoolVar(&g.json, "json", false, "one JSON object at the end instead of the text")
		g.device.define(f)
		return func(ctx context.Context, operands []string, s streams) error {
			if err := f.need("prompt"); err != nil {
				return err
			}
			if g.max < 1 || g.temperature < 0 {
				return usagef("--max %d, --temperature %v: want at least one token and no negative temperature", g.max, g.temperature)
			}
			if g.system != "" && !g.chat {
				return usagef("--system is for a conversation: give --chat as well")
			}
			return g.run(ctx, operands[0], s.out)
		}
	},
}

// generated is the JSON of generate.
type generated struct {
	PromptIDs []int32     `json:"prompt_ids"`
	IDs       []int32     `json:"ids"`
	Text      string      `json:"text"`
	Reason    phi3.Reason `json:"reason"` // stop, length
}

func (g *generation) run(ctx context.Context, path string, out io.Writer) error {
	m, err := open(path)
	if err != nil {
		return err
	}
	defer discard(m)
	prompt, err := g.ids(m)
	if err != nil {
		return badInput(err)
	}
	be, err := g.device.open()
	if err != nil {
		return err
	}
	defer discard(be)
	net, err := newNetwork(be, m, g.adapter, max(len(prompt), min(len(prompt)+g.max, m.Config.Longest())))
	if err != nil {
		return err
	}
	defer net.Release()
	text := &stream{tokenizer: m.Template.Tokenizer(), out: out}
	options := phi3.Generation{MaxNew: g.max, Stop: m.Template.Stop(), Choose: phi3.Sampler(g.temperature, g.seed)}
	if !g.json {
		options.Token = text.add
	}
	ids, reason, err := net.Generate(ctx, prompt, options)
	if err != nil {
		return err
	}
	if g.json {
		if ids == nil {
			ids = []int32{}
		}
		return json.NewEncoder(out).Encode(generated{prompt, ids, text.tokenizer.Decode(ids), reason})
	}
	return text.end()
}

// ids is the prompt in tokens. Its text is ordinary text: no control token is recognised in it.
func (g *generation) ids(m *modelfile.Model) ([]int32, error) {
	if g.chat {
		var messages []chat.Message
		if g.system != "" {
			messages = append(messages, chat.Message{Role: "system", Content: g.system})
		}
		return m.Template.Prompt(append(messages, chat.Message{Role: "user", Content: g.prompt}))
	}
	ids := m.Template.Tokenizer().Encode(g.prompt)
	if len(ids) == 0 {
		return nil, fmt.Errorf("the prompt is empty")
	}
	return ids, nil
}

// stream writes tokens as text as they come. The bytes of a character may be spread over
// several tokens: they are held back until it is whole.
type stream struct {
	tokenizer *tokenizer.Tokenizer
	out       io.Writer
	held      []byte
	err       error
}

func (s *stream) add(id int32) {
	s.held = append(s.held, s.tokenizer.TokenBytes(id)...)
	n := whole(s.held)
	if s.err == nil && n > 0 {
		_, s.err = s.out.Write(s.held[:n])
	}
	s.held = append(s.held[:0], s.held[n:]...)
}

// end writes what is left and ends the line.
func (s *stream) end() error {
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.out, "%s\n", s.held)
	}
	return s.err
}

// whole is the number of leading bytes of b that do not end inside a character.
func whole(b []byte) int {
	for back := 1; back <= min(utf8.UTFMax, len(b)); back++ {
		if start := len(b) - back; utf8.RuneStart(b[start]) {
			if !utf8.FullRune(b[start:]) {
				return start
			}
			break
		}
	}
	return len(b)
}
