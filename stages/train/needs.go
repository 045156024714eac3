package train

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// files looks at dataset and validation without a tokenizer, so that a broken line is found
// though the base is still to be made. It reports whether the dataset can be read; a
// validation set that cannot yet is taken out of c.
func (k *checker) files(c *Config) bool {
	readable := !slices.Contains(k.pending, "dataset")
	if slices.Contains(k.pending, "validation") {
		c.Validation = ""
	}
	for _, f := range []struct{ field, path string }{{"dataset", c.Dataset}, {"validation", c.Validation}} {
		if f.path == "" || slices.Contains(k.pending, f.field) {
			continue
		}
		if err := k.file(f.path); err != nil {
			k.bad(f.field, err)
			readable = false
		}
	}
	return readable
}

// file looks at a dataset without a tokenizer: a broken line is found though the base is
// still to be made.
func (k *checker) file(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return plugins.Errorf(plugins.BadInput, "dataset %q is not there", path)
	}
	_, err := dataset.ReadFile(path, false)
	return err
}

// needs computes memory and disk from the model's shapes. Bytes.
func (k *checker) needs(c Config, folder *phi3.Folder, d data) {
	m := folder.Config
	lora, gates := trained(c, m)
	perStep := int64(16 * (lora + gates)) // value, gradient and two moments, f32
	tokens := int64(c.Batch) * int64(c.Length)
	if d.longest > 0 {
		tokens = int64(c.Batch) * int64(d.longest)
	}
	// Kept for the backward pass of a layer, per token: its input, both norms, the
	// projections' outputs, rotated qkv, attention's output, SwiGLU; and as much again in
	// gradients for the layer at work.
	perToken := int64(4*m.Hidden + 2*m.QKVOut() + 2*m.AttnOut() + 3*m.Intermediate)
	layers := int64(m.Layers + 1)
	if c.Recompute {
		layers = 2
	}
	activations := 4 * tokens * (perToken*layers + int64(m.Layers*m.Hidden))
	logits := 4 * min(tokens, 1024) * int64(m.Vocab) // of a chunk
	k.report.Needs.Memory = weightBytes(c, m, folder) + perStep + activations + logits + 64<<20
	// value, two moments and the best, once for each kept checkpoint and one being written.
	checkpoint := int64(16 * (lora + gates))
	k.report.Needs.Disk = checkpoint*int64(c.Checkpoint.Keep+1) + int64(4*(lora+gates)) + 1<<20
	if c.Backend == "cuda" {
		k.report.Needs.GPU = 1
	}
}

// trained counts the parameters of LoRA and of the gates.
func trained(c Config, m *phi3.Config) (lora, gates int) {
	if len(c.Lora.Targets) > 0 {
		targets, err := m.SelectTargets(c.Lora.Targets)
		if err != nil {
			return 0, 0 // reported already
		}
		for _, t := range targets {
			out, in := m.ModuleShape(t.Module)
			lora += c.Lora.R * (in + out)
		}
	}
	layers, err := m.SelectLayers(c.gated())
	if err != nil {
		return lora, 0
	}
	return lora, len(layers) * m.Hidden / so8t.Block * so8t.Params
}

// weightBytes is what the base takes in memory: its files for native, else by storage.
func weightBytes(c Config, m *phi3.Config, folder *phi3.Folder) int64 {
	per := map[string]int64{"f32": 4, "bf16": 2, "int8": 1}[c.Storage]
	if per == 0 {
		files, err := filepath.Glob(filepath.Join(c.Base, "*.safetensors"))
		if err != nil {
			return 0
		}
		total := int64(0)
		for _, f := range files {
			if info, err := os.Stat(f); err == nil {
				total += info.Size()
			}
		}
		return total
	}
	return per * m.Parameters()
}
