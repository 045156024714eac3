package chat

import (
	"fmt"
	"strings"
)

// probes are conversations that tell templates apart: with and without a system's turn, of several
// lengths, with white space around what is said and between turns of one role, with nothing said,
// with control tokens, quotes and braces in it, with tools.
var probes = [][]Message{
	{{Role: "user", Content: "港は。"}},
	{{Role: "system", Content: "短く。"}, {Role: "user", Content: "港は。"}},
	{{Role: "user", Content: "a"}, {Role: "assistant", Content: "b"}},
	{{Role: "system", Content: " s\n"}, {Role: "user", Content: "\n a "}, {Role: "assistant", Content: "  b\n\n"}, {Role: "user", Content: "\tc"}},
	{{Role: "user", Content: ""}, {Role: "assistant", Content: ""}, {Role: "user", Content: "d"}, {Role: "assistant", Content: "<think>e</think>f"},
		{Role: "user", Content: "{{ g }}"}, {Role: "assistant", Content: "'h' \"i\" <|end|>"}},
	{{Role: "user", Content: "j"}, {Role: "user", Content: "k"}, {Role: "system", Content: "l"}, {Role: "assistant", Content: "m"}},
	{{Role: "assistant", Content: "n"}},
	{{Role: "system", Content: "o", Tools: `[{"name": "p"}]`}, {Role: "user", Content: "q"}},
}

// checkTemplate says in what a template differs from this format on the probes, or what of it is not
// understood. Tools may be missing in a template for models without them.
func checkTemplate(template string) error {
	render, err := parseJinja(template)
	if err != nil {
		return err
	}
	for _, messages := range probes {
		for _, prompt := range []bool{true, false} {
			got, err := renderJinja(render, messages, prompt)
			if err != nil {
				return fmt.Errorf("rendering %q: %w", Render(messages, prompt), err)
			}
			if got == Render(messages, prompt) || withoutTools(messages, prompt) == got {
				continue
			}
			return fmt.Errorf("it writes %q where %q belongs", clip(got, 200), clip(Render(messages, prompt), 200))
		}
	}
	return nil
}

func withoutTools(messages []Message, prompt bool) string {
	var bare []Message
	for _, m := range messages {
		bare = append(bare, Message{Role: m.Role, Content: m.Content})
	}
	return Render(bare, prompt)
}

// renderJinja gives a template what transformers gives it.
func renderJinja(render statement, messages []Message, prompt bool) (string, error) {
	var list []any
	for _, m := range messages {
		one := map[string]any{"role": m.Role, "content": m.Content}
		if m.Tools != "" {
			one["tools"] = m.Tools
		}
		list = append(list, one)
	}
	rounds := maxRounds
	v := &scope{rounds: &rounds, values: map[string]any{
		"messages": list, "add_generation_prompt": prompt, "eos_token": EndOfText, "bos_token": EndOfText, "tools": nil, "documents": nil,
	}}
	var out strings.Builder
	err := render(v, &out)
	return out.String(), err
}
