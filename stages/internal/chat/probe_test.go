package chat

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// Chat templates as their models carry them.
var realTemplates = map[string]string{
	"Phi-3-mini": `{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'user' %}{{'<|user|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>
' + message['content'] + '<|end|>
'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>
' }}{% else %}{{ eos_token }}{% endif %}`,
	"Phi-4":            `{% for message in messages %}{% if (message['role'] == 'system') %}{{'<|im_start|>system<|im_sep|>' + message['content'] + '<|im_end|>'}}{% elif (message['role'] == 'user') %}{{'<|im_start|>user<|im_sep|>' + message['content'] + '<|im_end|>'}}{% elif (message['role'] == 'assistant') %}{{'<|im_start|>assistant<|im_sep|>' + message['content'] + '<|im_end|>'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}`,
	"ChatML":           `{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`,
	"Llama-3":          `{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}`,
	"Mistral":          `{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% endif %}{% endfor %}`,
	"Gemma":            `{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}`,
	"a default system": `{% if messages[0]['role'] != 'system' %}{{ '<|system|>You are Phi.<|end|>' }}{% endif %}` + Jinja,
}

func TestCheckTemplate_OtherModels_Refused(t *testing.T) {
	for name, template := range realTemplates {
		if err := checkTemplate(template); err == nil || len(err.Error()) > 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What writes the same is the same, however it is spelt.
func TestCheckTemplate_SameOutput_Accepted(t *testing.T) {
	end := `{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}`
	for name, template := range map[string]string{
		"its own":       Jinja,
		"joined":        `{%- for m in messages %}{{ "<|" ~ m.role ~ "|>" ~ m.content ~ "<|end|>" }}{% endfor -%}` + end,
		"role by role":  `{% for m in messages %}{% if m.role == 'system' %}<|system|>{{ m.content }}<|end|>{% elif m.role == "user" %}<|user|>{{ m['content'] }}<|end|>{% else %}{{ '<|assistant|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}` + end,
		"set and tests": "{# Phi #}\n{% set all = messages %}\n{% for m in all %}\n    {% set turn = '<|' + m.role + '|>' + m.content %}\n    {% if m.tools is defined and not m.tools is none and m.role in ['system'] %}\n{% endif %}\n{{- turn }}{{ '<|end|>' -}}\n{% endfor %}\n" + end + "\n",
		"one line":      `{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}{{ ('<|assistant|>' if add_generation_prompt else eos_token) }}`,
		"the text's end": strings.Replace(`{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% if loop.last %}END{% endif %}{% endfor %}`,
			"END", `{% if not add_generation_prompt %}{{ eos_token }}{% endif %}{% if add_generation_prompt == true %}<|assistant|>{% endif %}`, 1),
	} {
		if err := checkTemplate(template); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A template that differs in one place only is another format.
func TestCheckTemplate_SmallDifferences_Refused(t *testing.T) {
	for name, change := range map[string][2]string{
		"trimmed content":      {"message['content'] + '<|end|>' }}{% endif", "message['content'] | trim + '<|end|>' }}{% endif"},
		"no end of the text":   {"{{ eos_token }}", ""},
		"a line after a turn":  {"'<|end|>' }}{% endif", `'<|end|>\n' }}{% endif`},
		"the first turn":       {"{% else %}{{ '<|' +", "{% elif loop.first and loop.length > 1 %}{{ message['content'] }}{% else %}{{ '<|' +"},
		"long conversations":   {"{% else %}{{ '<|' +", "{% elif loop.index0 == 4 %}{% else %}{{ '<|' +"},
		"tools after the turn": {"'<|/tool|>' + '<|end|>'", "'<|end|>' + '<|/tool|>'"},
		"a call":               {"message['content'] + '<|end|>' }}{% endif", "message['content'].strip() + '<|end|>' }}{% endif"},
		"a macro":              {"{% for", "{% macro x() %}{% endmacro %}{% for"},
		"a statement too many": {"{% endfor %}", "{% endif %}{% endfor %}"},
		"no end":               {"{% endfor %}", ""},
	} {
		if !strings.Contains(Jinja, change[0]) {
			t.Fatalf("%s: nothing to change", name)
		}
		if err := checkTemplate(strings.Replace(Jinja, change[0], change[1], 1)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// None of these takes more than a moment or the memory of a page.
func TestCheckTemplate_Hostile_Refused(t *testing.T) {
	loops := strings.Repeat("{% for a in messages %}", 200) + "x" + strings.Repeat("{% endfor %}", 200)
	for name, template := range map[string]string{
		"loops in loops":  loops,
		"doubling":        "{% set x = 'aaaaaaaa' %}" + strings.Repeat("{% set x = x + x %}", 100) + "{{ x }}",
		"a million words": strings.Repeat("x", 1<<20),
		"brackets":        "{{ " + strings.Repeat("(", 30_000) + "1" + strings.Repeat(")", 30_000) + " }}",
		"nots":            "{{ " + strings.Repeat("not ", 15_000) + "1 }}",
		"nothing":         "{{ }}",
		"half a tag":      "{{ messages",
	} {
		if err := checkTemplate(template); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzCheckTemplate(f *testing.F) {
	f.Add(Jinja)
	for _, template := range realTemplates {
		f.Add(template)
	}
	f.Fuzz(func(_ *testing.T, template string) {
		_ = checkTemplate(template) // neither panics nor hangs
	})
}

// testdata/jinja.json holds random templates and what Jinja2 3.1.6, set up as in transformers, makes
// of them on the probes.
func TestRenderJinja_SameAsJinja2(t *testing.T) {
	var cases []struct {
		Template string
		Rendered []string
	}
	raw, err := os.ReadFile("testdata/jinja.json")
	if err == nil {
		err = json.Unmarshal(raw, &cases)
	}
	if err != nil || len(cases) < 100 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		render, err := parseJinja(c.Template)
		if err != nil {
			t.Errorf("%q: %v", c.Template, err)
			continue
		}
		for i, want := range c.Rendered {
			if got, err := renderJinja(render, probes[i], true); err != nil || got != want {
				t.Errorf("%q on probe %d: %q (%v), want %q", c.Template, i, got, err, want)
			}
		}
	}
}
