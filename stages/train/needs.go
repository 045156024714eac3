package train

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/phi3"
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

// room is what a process takes beside the plan: code, heap and buffers kept for reuse. Bytes.
const room = 64 << 20

// needs computes memory and disk from the model's shapes.
func (k *checker) needs(c Config, a phi3.AdapterOptions, m *phi3.Config, d data) {
	longest := c.Length
	if d.longest > 0 {
		longest = d.longest
	}
	plan := m.PlanTraining(phi3.Storage(c.Storage), m.NativeBytes(), a, c.Batch*longest, c.Recompute)
	k.report.Needs.Memory = plan.Total() + room
	// Value, two moments and the best of each parameter: in the checkpoints that are kept
	// and in the one being written.
	checkpoint := 4 * plan.Adapter
	k.report.Needs.Disk = checkpoint*int64(c.Checkpoint.Keep+1) + plan.Adapter + 1<<20
	if c.Backend == "cuda" {
		k.report.Needs.GPU = 1
	}
}
