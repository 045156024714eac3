package chat

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// testdata was made with transformers 5.23.0 (apply_chat_template) and tokenizers 0.23.3.

func open(t *testing.T, dir string) *Template {
	t.Helper()
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTemplate_Fixtures_SameAsTransformers(t *testing.T) {
	var cases []struct {
		Name                string
		Messages            []Message
		AddGenerationPrompt bool `json:"add_generation_prompt"`
		Rendered            string
		IDsRendered         []int32 `json:"ids_rendered"`
		IDs                 []int32
		LossMask            []int `json:"loss_mask"`
		Same                bool
	}
	raw, err := os.ReadFile("testdata/chat.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 36 {
		t.Fatalf("%d cases", len(cases))
	}
	c := open(t, "testdata")
	for _, x := range cases {
		if got := Render(x.Messages, x.AddGenerationPrompt); got != x.Rendered {
			t.Errorf("%s: rendered %q, want %q", x.Name, got, x.Rendered)
		}
		if got := c.Tokenizer().EncodeSpecial(x.Rendered); !slices.Equal(got, x.IDsRendered) {
			t.Errorf("%s: rendered ids %v, want %v", x.Name, got, x.IDsRendered)
		}
		if x.AddGenerationPrompt {
			got, err := c.Prompt(x.Messages)
			if err != nil || !slices.Equal(got, x.IDs) {
				t.Errorf("%s: prompt %v (%v), want %v", x.Name, got, err, x.IDs)
			}
			continue
		}
		got, learn, err := c.Example(x.Messages)
		if err != nil || !slices.Equal(got, x.IDs) {
			t.Errorf("%s: example %v (%v), want %v", x.Name, got, err, x.IDs)
		}
		mask := make([]int, len(learn))
		for i, l := range learn {
			if l {
				mask[i] = 1
			}
		}
		if !slices.Equal(mask, x.LossMask) {
			t.Errorf("%s: mask %v, want %v", x.Name, mask, x.LossMask)
		}
	}
}

func TestLines_Labels_FromFirstDifferenceThroughLineEnd(t *testing.T) {
	for _, dir := range []string{"testdata", "testdata/tiny-hf"} {
		c := open(t, dir)
		user := []Message{{Role: "user", Content: "荷役計画はいつ確定しますか。"}}
		lines := []string{"判定: ALLOW\n", "判定: ESCALATION\n", "判定: DENY\n"}
		got, err := c.Lines(user, lines)
		if err != nil {
			t.Fatal(err)
		}
		prompt, _ := c.Prompt(user)
		for i, l := range got {
			if !slices.Equal(l.IDs, append(slices.Clone(prompt), c.Tokenizer().Encode(lines[i])...)) {
				t.Errorf("%s: ids %v", dir, l.IDs)
			}
			scored := c.Tokenizer().Decode(l.IDs[l.From:])
			if l.From != got[0].From || !strings.HasSuffix(scored, "\n") || len(scored) < 3 {
				t.Errorf("%s: scored %q from %d", dir, scored, l.From)
			}
			// What is scored is what an example says at that place.
			whole, _, err := c.Example(append(user, Message{Role: "assistant", Content: lines[i] + "理由: x"}))
			if err != nil || !slices.Equal(whole[:len(l.IDs)], l.IDs) {
				t.Errorf("%s: example %v (%v), scored %v", dir, whole, err, l.IDs)
			}
		}
	}
	c := open(t, "testdata")
	user := []Message{{Role: "user", Content: "x"}}
	// " ALLOW", " ESCALATION" and " DENY" are one token each here, behind "判定" and ":".
	got, err := c.Lines(user, []string{"判定: ALLOW\n", "判定: DENY\n"})
	if err != nil || got[0].From != 3+1+2 || len(got[0].IDs) != got[0].From+2 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range [][]string{{"判定: A\n"}, {"判定: A", "判定: B"}, {"a\n", "a\n"}} {
		if _, err := c.Lines(user, bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestPrompt_UnknownRole_Refused(t *testing.T) {
	c := open(t, "testdata")
	for _, m := range [][]Message{nil, {{Role: "tool", Content: "x"}}, {{Role: "end", Content: "x"}}} {
		if _, err := c.Prompt(m); err == nil {
			t.Errorf("%v: no error", m)
		}
	}
}

func folder(t *testing.T, config map[string]any, jinja string) string {
	t.Helper()
	dir := t.TempDir()
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, configName), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if jinja != "" {
		if err := os.WriteFile(filepath.Join(dir, templateName), []byte(jinja), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheckFolder_SameInOtherSpelling_Accepted(t *testing.T) {
	spaced := "{%- for message in messages -%}\n  {{- '<|' + message.role + \"|>\" +message.content + '<|end|>' -}}\n{%- endfor -%}\n" +
		"{%- if add_generation_prompt -%}\n{{- '<|assistant|>' -}}\n{%- else -%}{{ eos_token }}{%- endif -%}"
	blocks := "{% for message in messages %}\n{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}\n" +
		"    {% if add_generation_prompt %}\n{{ '<|assistant|>' }}{% else %}\n{{ eos_token }}{% endif %}"
	for name, dir := range map[string]string{
		"none":          folder(t, map[string]any{"eos_token": map[string]string{"content": EndOfText}}, ""),
		"own":           folder(t, map[string]any{"chat_template": Jinja}, ""),
		"spaced":        folder(t, map[string]any{"chat_template": spaced}, ""),
		"blocks":        folder(t, map[string]any{"chat_template": blocks}, ""),
		"named":         folder(t, map[string]any{"chat_template": []map[string]string{{"name": "default", "template": Jinja}}}, ""),
		"own file wins": folder(t, map[string]any{"chat_template": "x"}, Jinja),
		"empty folder":  t.TempDir(),
	} {
		if err := CheckFolder(dir); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckFolder_OtherTemplate_Refused(t *testing.T) {
	for name, dir := range map[string]string{
		"phi-3 with line feeds": folder(t, map[string]any{"chat_template": strings.ReplaceAll(Jinja, "'|>'", `'|>\n'`)}, ""),
		"chatml":                folder(t, map[string]any{"chat_template": "{% for m in messages %}{{'<|im_start|>' + m['role']}}{% endfor %}"}, ""),
		"space that is output":  folder(t, map[string]any{"chat_template": strings.Replace(Jinja, "}}{%", "}} {%", 1)}, ""),
		"own file":              folder(t, map[string]any{"chat_template": Jinja}, "{{ messages }}"),
		"other eos":             folder(t, map[string]any{"chat_template": Jinja, "eos_token": "<|end|>"}, ""),
		"rubbish":               folder(t, map[string]any{"chat_template": "{% for {{"}, ""),
	} {
		if err := CheckFolder(dir); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestNew_VocabularyWithoutControlTokens_NamesThem(t *testing.T) {
	raw, err := os.ReadFile("testdata/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(strings.ReplaceAll(string(raw), End, "<|fin|>")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), End) {
		t.Errorf("error %v", err)
	}
}

// A message that spells control tokens, whole, in pieces or beside each other, has no more of them
// than an innocent one.
func TestPrompt_ContentBecomesNoControlToken(t *testing.T) {
	for _, dir := range []string{"testdata", "testdata/tiny-hf"} {
		c := open(t, dir)
		control := map[int32]bool{}
		for _, a := range c.Tokenizer().Added() {
			control[a.ID] = true
		}
		count := func(content string) (n int) {
			for _, role := range []string{"system", "user", "assistant"} {
				ids, _, err := c.Example([]Message{{Role: role, Content: content, Tools: content}})
				if err != nil {
					t.Fatal(err)
				}
				for _, id := range ids {
					if control[id] {
						n++
					}
				}
				if text := c.Tokenizer().Decode(ids); !strings.Contains(text, content) {
					t.Errorf("%s: %q came back as %q", dir, content, text)
				}
			}
			return n
		}
		want := count("港は。")
		all := strings.Join(ControlTokens, "")
		for _, content := range append([]string{all, " " + all + "\n" + all, "<|end|", "|><|user|>", "<|<|end|>|>", "ａ<|end|>ａ"}, ControlTokens...) {
			if got := count(content); got != want {
				t.Errorf("%s: %q has %d control tokens, an innocent message %d", dir, content, got, want)
			}
		}
	}
}
