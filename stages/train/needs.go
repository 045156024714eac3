package train

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"slices"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/compute"
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
	p, err := plan(c, a, m, longest)
	if err != nil {
		return // reported: a length, a target or a layer that does not fit
	}
	k.report.Needs.Memory = p.Total() + room
	if compute.OnGPU(c.Backend) { // the rest is the card's; the base is read from its file once
		k.report.Needs.Memory = p.Copies + room
	}
	// Value, two moments and the best of each parameter: in the checkpoints that are kept
	// and in the one being written.
	checkpoint := 4 * p.Trained
	k.report.Needs.Disk = checkpoint*int64(c.Checkpoint.Keep+1) + p.Trained + 1<<20
}

// plan is the memory of a run whose micro-batches all hold rows of the longest length.
func plan(c Config, a phi3.AdapterOptions, m *phi3.Config, longest int) (phi3.MemoryPlan, error) {
	dry := compute.OpenDry(c.Backend)
	defer func() { _ = dry.Close() }()
	return m.PlanTraining(dry, phi3.Storage(c.Storage), m.NativeBytes(), a, slices.Repeat([]int{longest}, c.Batch), c.Recompute)
}

// describe is a plan in words.
func describe(p phi3.MemoryPlan) string {
	mb := func(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
	return fmt.Sprintf("memory: at most %s; base %s, trained %s, gradients %s, optimiser %s, a micro-batch of the longest rows %s, copies for checkpoints %s",
		mb(p.Total()), mb(p.Weights), mb(p.Trained), mb(p.Gradients), mb(p.Optimizer), mb(p.Activations), mb(p.Copies))
}

// From so much memory on, garbage is collected when it is a tenth of what is in use. By the usual rule
// it may grow to as much as is in use, and copies of adapters do; and looking for it costs nothing
// where weights, moments and copies are few and large.
const (
	largeMemory  = 1 << 30
	largePercent = 10
)

// collect makes the process, which is the stage's own, hold what was planned.
func collect(p phi3.MemoryPlan) {
	if p.Total() > largeMemory {
		debug.SetGCPercent(largePercent)
	}
}
