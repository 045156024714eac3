package bake

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// pythonEnv names a virtual environment with transformers and PyTorch; without it python3 is tried.
const pythonEnv = "SO8T_TEST_TRANSFORMERS_VENV"

// loadScript loads a folder as any user would, and gives the logits of ids (argument 2).
const loadScript = `
import json, sys
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
folder, ids = sys.argv[1], json.loads(sys.argv[2])
model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
model.float().eval()
with torch.no_grad():
    logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
print(json.dumps({
    "model": type(model).__name__,
    "config": type(AutoConfig.from_pretrained(folder)).__name__,
    "wrong": sorted(str(x) for k in ("missing_keys", "unexpected_keys", "mismatched_keys") for x in info.get(k) or []),
    "tokens": AutoTokenizer.from_pretrained(folder)("Explain the public safety report.")["input_ids"],
    "logits": logits.tolist(),
}))
`

func python(t *testing.T) string {
	t.Helper()
	name := "python3"
	if venv := os.Getenv(pythonEnv); venv != "" {
		name = filepath.Join(venv, "bin", "python")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no Python: %v", err)
	}
	if out, err := exec.CommandContext(t.Context(), path, "-c", "import torch; from transformers import Phi3ForCausalLM, Phi3Config; assert hasattr(Phi3Config(), 'partial_rotary_factor'), 'too old'").CombinedOutput(); err != nil {
		t.Skipf("%s has no transformers 4.49 or newer with PyTorch (.ci/install-transformers.sh makes one; set %s): %v\n%.300s", path, pythonEnv, err, out)
	}
	return path
}

// transformers takes the folder for a stock Phi-3, with every weight in its place, and computes
// what we compute.
func TestRun_LoadsInTransformers(t *testing.T) {
	interpreter := python(t)
	folder := open(t, base)
	out, _, _, err := run(t, map[string]any{"base": base, "adapter": saved(t, adapter(t, folder.Config)), "dtype": "float32"})
	if err != nil {
		t.Fatal(err)
	}
	ids := []int32{5, 300, 1999, 7, 42, 512, 13}
	argument, err := json.Marshal(ids)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), interpreter, "-c", loadScript, filepath.Join(out, "model"), string(argument))
	cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1")
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var got struct {
		Model, Config string
		Wrong         []string
		Tokens        []int32
		Logits        []float64
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if got.Model != "Phi3ForCausalLM" || got.Config != "Phi3Config" || len(got.Wrong) > 0 || len(got.Tokens) == 0 {
		t.Errorf("model %s, config %s, keys %v, tokens %v", got.Model, got.Config, got.Wrong, got.Tokens)
	}
	all := logits(t, cpu(t), open(t, filepath.Join(out, "model")), nil, [][]int32{ids})
	last := all[len(all)-folder.Config.Vocab:]
	reach := float64(slices.Max(last) - slices.Min(last))
	worst := 0.0
	for i, v := range last {
		d := math.Abs(float64(v)-got.Logits[i]) / reach
		if worst = max(worst, d); d > 1e-4 || math.IsNaN(d) {
			t.Fatalf("logit %d is %v in transformers, %v here: %.2g of their range", i, got.Logits[i], v, d)
		}
	}
	t.Logf("logits differ by at most %.2g of their range", worst)
}
