package gguf

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/phi3"
)

// llamaProbe is the program of .ci/llama-probe.c: token ids in, greedy ids of llama.cpp out.
func llamaProbe(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SO8T_TEST_LLAMACPP")
	if dir == "" {
		t.Skip("llama.cpp is not installed: .ci/install-llamacpp.sh builds it; put its folder into SO8T_TEST_LLAMACPP")
	}
	return filepath.Join(dir, "llama-probe")
}

// asked are conversations whose greedy answers are compared.
var asked = []string{
	"外部の業者が病院の診療記録を閲覧してもよいですか。", "看護師が病院で患者の診療記録を社外に送信してもよいですか。", "2+2はいくつですか。", "Explain the public safety report.",
}

// llama.cpp loads every type that we write and says, token for token, what our own inference says.
func TestRun_LlamaCppSaysTheSame(t *testing.T) {
	probe := llamaProbe(t)
	const most, context = 24, 512 // more context would switch the rotary factors
	for _, typ := range []string{"F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0", "Q3_K_M", "Q3_K_S"} {
		t.Run(typ, func(t *testing.T) {
			out, _ := run(t, typ)
			path := filepath.Join(out, fileName)
			prompts, ours := answers(t, path, most)
			cmd := exec.CommandContext(t.Context(), probe, path, "greedy", fmt.Sprint(context), fmt.Sprint(most))
			cmd.Stdin = strings.NewReader(lines(prompts))
			var errs strings.Builder
			cmd.Stderr = &errs
			theirs, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, &errs)
			}
			if got := string(theirs); got != lines(ours) {
				t.Errorf("llama.cpp:\n%sours:\n%s", got, lines(ours))
			}
		})
	}
}

// lines are ids as llama-probe has them.
func lines(list [][]int32) string {
	var b strings.Builder
	for _, ids := range list {
		fmt.Fprintln(&b, strings.Trim(fmt.Sprint(ids), "[]"))
	}
	return b.String()
}

// answers are the prompts of what is asked and our own greedy answers, with the token that ends them.
func answers(t *testing.T, path string, most int) (prompts, answers [][]int32) {
	t.Helper()
	m, err := modelfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	be, err := compute.Open("cpu", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	weights, err := phi3.Load(m.Config, m.Source, phi3.StoreNative)
	if err != nil {
		t.Fatal(err)
	}
	base, err := phi3.NewBase(be, weights, 512)
	if err != nil {
		t.Fatal(err)
	}
	defer base.Release()
	runner, err := phi3.NewRunner(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer runner.Release()
	for _, text := range asked {
		prompt, err := m.Template.Prompt([]chat.Message{{Role: "user", Content: text}})
		if err != nil {
			t.Fatal(err)
		}
		var last int32
		g := phi3.Generation{MaxNew: most, Stop: m.Template.Stop(), Choose: func(logits []float32) int32 {
			last = phi3.Greedy(logits)
			return last
		}}
		ids, reason, err := runner.Generate(t.Context(), prompt, g)
		if err != nil {
			t.Fatal(err)
		}
		if reason == phi3.Stopped {
			ids = append(ids, last)
		}
		prompts, answers = append(prompts, prompt), append(answers, ids)
	}
	return prompts, answers
}
