package modeltool

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/stages/internal/imatrix"
)

// llama-imatrix computes with a float16 cache, so single sums are a little off from ours; on the
// whole they agree. What quantises the same is read back the same.
func TestImatrix_AgreesWithLlamaCpp(t *testing.T) {
	out := filepath.Join(t.TempDir(), "imatrix.gguf")
	must(t, "", "imatrix", tinyHF, "--file", "testdata/calibration.txt", "--chunks", "8", "--out", out)
	ours, err := imatrix.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := imatrix.Read("../internal/modelfile/testdata/imatrix.gguf")
	if err != nil {
		t.Fatal(err)
	}
	if ours.Len() != theirs.Len() || ours.Chunks != theirs.Chunks || ours.ChunkSize != theirs.ChunkSize || ours.Datasets[0] != theirs.Datasets[0] {
		t.Errorf("%d matrices, %d chunks of %d of %v", ours.Len(), ours.Chunks, ours.ChunkSize, ours.Datasets)
	}
	got, want := ours.Importance(), theirs.Importance()
	for name, w := range want {
		g := got[name]
		if len(g) != len(w) {
			t.Fatalf("%s: %d columns, want %d", name, len(g), len(w))
		}
		var worst, difference, total float64
		for i := range w {
			d := math.Abs(float64(g[i]) - float64(w[i]))
			worst = max(worst, d/float64(w[i]))
			difference += d
			total += float64(w[i])
		}
		if worst > 2e-2 || difference/total > 2e-3 {
			t.Errorf("%s: off by %g of a column at most, by %g in all", name, worst, difference/total)
		}
	}
	text := must(t, "", "inspect", out)
	if !strings.Contains(text, "blk.3.ffn_up.weight.counts") {
		t.Errorf("inspect says\n%s", text)
	}
}

func TestQuantize_ImatrixChangesTheFile(t *testing.T) {
	const importance = "../internal/modelfile/testdata/imatrix.gguf"
	out := filepath.Join(t.TempDir(), "with.gguf")
	must(t, "", "quantize", tinyHF, out, "--type", "Q4_K_M", "--name", "so8t tiny", "--imatrix", importance)
	with, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	without, err := os.ReadFile(ggufOf(t, "Q4_K_M"))
	if err != nil {
		t.Fatal(err)
	}
	if len(with) <= len(without) || !strings.Contains(string(with), "quantize.imatrix.chunks_count") {
		t.Errorf("%d bytes with, %d without", len(with), len(without))
	}
	for _, bad := range []string{"testdata/heldout.txt", out, "none"} {
		target := filepath.Join(t.TempDir(), "bad.gguf")
		if _, _, err := call(t, "", "quantize", tinyHF, target, "--type", "Q4_K_M", "--imatrix", bad); err == nil {
			t.Errorf("%s passes for an importance matrix", bad)
		}
		if _, err := os.Stat(target); err == nil {
			t.Errorf("a file was left with %s", bad)
		}
	}
}
