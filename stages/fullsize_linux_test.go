package stages

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/so8t/so8t/stages/internal/synthetic"
)

// fullWorkflow lets the KL pass: numbers that nobody trained hand every rounding on from layer to
// layer, so that it is several times that of a model. It is measured all the same.
const fullWorkflow = `version: 1
name: fullsize
stages:
  bake:
    uses: bake
    with: { base: ../base, adapter: ../adapter, folder: false }
  gguf:
    uses: gguf
    with: { base: ../base, adapter: ../adapter, bake: "${stages.bake.outputs.report}", type: Q4_K_M, heldout: heldout.txt, max_kl: 1 }
`

// converter runs llama.cpp's own, told which pre-tokenizer a vocabulary has that it has never seen.
const converter = `
import os, runpy, sys
sys.argv = sys.argv[1:]
folder = os.path.dirname(sys.argv[0])
sys.path[:0] = [folder, os.path.join(folder, "gguf-py")]
import conversion.base as base
base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-4o"
runpy.run_path(sys.argv[0], run_name="__main__")
`

// TestFullSize_Export bakes a model of Phi-4-mini's size and writes it as Q4_K_M, with all proofs
// and gates, in the folder that SO8T_FULLSIZE names, and says what every step took. Beside it, on
// the same base, llama.cpp's converter and llama-quantize, where SO8T_TEST_LLAMACPP and
// SO8T_TEST_TRANSFORMERS_VENV name them; llama.cpp then generates with the file.
func TestFullSize_Export(t *testing.T) {
	dir := os.Getenv("SO8T_FULLSIZE")
	if dir == "" {
		t.Skip("set SO8T_FULLSIZE to a folder with 22 GB free: task fullsize:export")
	}
	if err := synthetic.WriteFullSize(dir); err != nil {
		t.Fatal(err)
	}
	project, so8t := filepath.Join(dir, "project"), filepath.Join(dir, "so8t")
	if err := os.RemoveAll(project); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("modeltool/testdata/heldout.txt")
	if err == nil {
		err = os.MkdirAll(project, 0o755)
	}
	for name, content := range map[string]string{"so8t.yaml": fullWorkflow, "heldout.txt": string(text), "convert.py": converter} {
		if err == nil {
			err = os.WriteFile(filepath.Join(project, name), []byte(content), 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	measured(t, "..", "go", "build", "-o", so8t, ".")
	measured(t, project, so8t, "run")
	file := stagesTook(t, project, so8t)
	alone := filepath.Join(dir, "ours.gguf") // the base alone, which is what llama.cpp can convert
	measured(t, project, so8t, "model", "quantize", filepath.Join(dir, "base"), alone, "--type", "Q4_K_M", "--name", "base")
	llama := os.Getenv("SO8T_TEST_LLAMACPP")
	if llama == "" {
		t.Log("llama.cpp is not installed: put its folder into SO8T_TEST_LLAMACPP")
		return
	}
	theirs := filepath.Join(dir, "theirs.gguf")
	if venv := os.Getenv("SO8T_TEST_TRANSFORMERS_VENV"); venv != "" {
		whole := filepath.Join(dir, "theirs-f16.gguf")
		measured(t, project, filepath.Join(venv, "bin", "python"), "convert.py", filepath.Join(llama, "../convert/convert_hf_to_gguf.py"), "--outtype", "f16", "--outfile", whole, filepath.Join(dir, "base"))
		measured(t, project, filepath.Join(llama, "llama-quantize"), whole, theirs, "Q4_K_M", "2")
		if err := os.Remove(whole); err != nil {
			t.Error(err)
		}
		sameTensors(t, so8t, alone, theirs)
	}
	for _, path := range []string{alone, theirs} {
		_ = os.Remove(path) // the second need not be there
	}
	measured(t, project, filepath.Join(llama, "llama-completion"), "-m", file, "-p", "港", "-n", "8", "-c", "256", "--temp", "0", "-no-cnv", "--no-warmup")
}

// measured runs a command and logs its time and largest resident memory, file pages included, of
// itself and what it waited for.
func measured(t *testing.T, dir string, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	t.Logf("%s %s: %.1f s, %.1f s of processor time, at most %d MB resident", filepath.Base(program), strings.Join(args, " "), time.Since(begin).Seconds(),
		(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), usage.Maxrss>>10)
}

// stagesTook logs what the stages of the last run took, and returns its GGUF file.
func stagesTook(t *testing.T, project, so8t string) (file string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), so8t, "status", "--json", "--timeline")
	cmd.Dir = project
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var status struct {
		Stages []struct {
			Stage    string
			Attempts []struct {
				Started, Ended time.Time
				CPU            float64 `json:"cpu_seconds"`
				Peak           int64   `json:"peak_rss_bytes"`
			}
			Outputs map[string]struct{ Path string }
			Metrics map[string]float64
		}
	}
	if err := json.Unmarshal(out, &status); err != nil {
		t.Fatal(err)
	}
	for _, s := range status.Stages {
		for _, a := range s.Attempts {
			t.Logf("%s: %.1f s, %.1f s of processor time, at most %d MB resident", s.Stage, a.Ended.Sub(a.Started).Seconds(), a.CPU, a.Peak>>20)
			if a.Peak > 1<<30 {
				t.Errorf("%s takes more than 1 GiB", s.Stage)
			}
		}
		t.Logf("%s: %v", s.Stage, s.Metrics)
		if path := s.Outputs["model"].Path; path != "" {
			file = path
		}
	}
	return file
}

// sameTensors compares the digests of two files' tensors.
func sameTensors(t *testing.T, so8t, a, b string) {
	t.Helper()
	digests := func(path string) map[string]string {
		out, err := exec.CommandContext(t.Context(), so8t, "model", "inspect", path, "--json").Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var file struct {
			Tensors []struct{ Name, SHA256 string }
		}
		if err := json.Unmarshal(out, &file); err != nil {
			t.Fatal(err)
		}
		sums := map[string]string{}
		for _, tensor := range file.Tensors {
			sums[tensor.Name] = tensor.SHA256
		}
		return sums
	}
	x, y := digests(a), digests(b)
	same := 0
	for name, sum := range x {
		if sum != "" && y[name] == sum {
			same++
		}
	}
	t.Logf("%d of %d tensors have the bytes of llama-quantize's %d", same, len(x), len(y))
}
