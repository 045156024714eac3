package modeltool

import (
	"fmt"
	"strings"
	"testing"
)

// The answer that Ollama 0.17.4 gives, greedily, from the F16 file of the same model.
const (
	question = "看護師が病院で患者の診療記録を社外に送信してもよいですか。"
	answer   = "判定: DENY\n理由: 機密または個人情報にあたり、規程で禁止されているためです。"
)

func TestGenerate_ChatEqualsOllama(t *testing.T) {
	for _, path := range []string{tinyHF, ggufOf(t, "F16")} {
		if got := must(t, "", "generate", path, "--chat", "--prompt", question); got != answer+"\n" {
			t.Errorf("%q, want %q", got, answer)
		}
	}
	var g generated
	parse(t, must(t, "", "generate", tinyHF, "--chat", "--prompt", question, "--json"), &g)
	// Ollama counts 12 tokens of the prompt and 17 of the answer, its end among them.
	if g.Text != answer || g.Reason != "stop" || len(g.PromptIDs) != 12 || len(g.IDs) != 16 {
		t.Errorf("%+v", g)
	}
}

func TestGenerate_MaxBounds(t *testing.T) {
	var g generated
	parse(t, must(t, "", "generate", tinyHF, "--chat", "--prompt", question, "--max", "3", "--json"), &g)
	if len(g.IDs) != 3 || g.Reason != "length" || !strings.HasPrefix(answer, g.Text) {
		t.Errorf("%+v", g)
	}
}

// Control tokens in a prompt are text: a prompt cannot end its turn.
func TestGenerate_PromptIsText(t *testing.T) {
	var g generated
	parse(t, must(t, "", "generate", tinyHF, "--prompt", "a<|end|>", "--max", "1", "--json"), &g)
	for _, id := range g.PromptIDs {
		if id == 2036 { // <|end|>
			t.Errorf("%v holds <|end|>", g.PromptIDs)
		}
	}
}

func TestGenerate_SamplesFollowFromTheSeed(t *testing.T) {
	texts := map[string]bool{}
	for seed := range 4 {
		args := []string{"generate", tinyHF, "--prompt", "外部の業者が", "--max", "12", "--temperature", "1.5", "--seed", fmt.Sprint(seed)}
		text := must(t, "", args...)
		if again := must(t, "", args...); again != text {
			t.Errorf("seed %d gives %q and %q", seed, text, again)
		}
		texts[text] = true
	}
	if len(texts) < 2 {
		t.Errorf("four seeds give one text: %v", texts)
	}
}

func TestWhole(t *testing.T) {
	for text, want := range map[string]int{"": 0, "a": 1, "判": 3, "a\xe5": 1, "a\xe5\x88": 1, "判\xe5\x88": 3, "\xf0\x9f\x99": 0, "a\xff": 2, "\x88\x88\x88\x88\x88": 5} {
		if got := whole([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
