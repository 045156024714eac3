package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/state"
)

// devices are the ids of the GPUs that stages may be given: those that SO8T_GPUS lists ("0,2", or
// none), else those that CUDA_VISIBLE_DEVICES leaves, else those that the machine has. They are
// looked for when a stage asks for one.
func (e *Engine) devices() []string {
	for _, name := range []string{"SO8T_GPUS", visibleDevices} {
		text := e.opts.Getenv(name)
		if text == "" {
			continue
		}
		var ids []string
		for id := range strings.SplitSeq(text, ",") {
			if id = strings.TrimSpace(id); id != "" && id != "none" && !strings.HasPrefix(id, "-") {
				ids = append(ids, id)
			}
		}
		return ids
	}
	if e.opts.GPUs == nil {
		return nil
	}
	return e.opts.GPUs()
}

// visibleDevices is the variable by which CUDA programs know which devices are theirs.
const visibleDevices = "CUDA_VISIBLE_DEVICES"

// deviceDir is where the locks of devices lie: of this user and this machine.
func (e *Engine) deviceDir() string {
	if dir := e.opts.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "so8t-devices")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("so8t-devices-%d", os.Getuid()))
}

// gpus is how many devices n is given: what the workflow says, else what its stage says it uses.
func (n *node) gpus(report plugins.CheckReport) int { return max(n.resources.GPU, report.Needs.GPU) }

// lease takes the devices that the node asks for; they are its until the locks are released. A stage
// that uses a GPU where none can be listed gets no lease.
func (w *work) lease(ctx context.Context) (*state.DeviceLocks, error) {
	count := w.n.gpus(w.r.plan.reports[w.n.instance])
	if count == 0 {
		return nil, nil
	}
	ids := w.r.devices()
	if count = min(count, len(ids)); count == 0 {
		return nil, nil
	}
	var locks *state.DeviceLocks
	err := w.r.untilStopped(ctx, func(ctx context.Context) error {
		var err error
		locks, err = state.LockDevices(ctx, w.r.e.deviceDir(), ids, count, w.holder, func(h state.Holder) {
			w.r.emit(Event{Kind: Warned, Stage: w.n.stage, Instance: w.n.instance, Message: fmt.Sprintf("waits for a GPU: %s has it (run %s)", h, h.Run)})
		})
		return err
	})
	if err == nil {
		w.devices = locks.IDs
	}
	return locks, err
}

// withDevices are a stage's variables with those that name its devices.
func withDevices(env map[string]string, ids []string) map[string]string {
	if len(ids) == 0 {
		return env
	}
	out := map[string]string{visibleDevices: strings.Join(ids, ",")}
	for name, value := range env {
		if name != visibleDevices {
			out[name] = value
		}
	}
	return out
}

// untilStopped calls f, which waits, with a context that ends when the run is interrupted.
func (r *run) untilStopped(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-r.control.stop:
			cancel()
		case <-over:
		}
	})
	defer watch.Wait()
	defer close(over)
	return f(ctx)
}

// deviceProblems are stages that ask for more GPUs than there are.
func (p *planner) deviceProblems(decisions []decision) []StageProblem {
	var out []StageProblem
	devices := sync.OnceValue(p.e.devices)
	for _, n := range p.nodes {
		if n.resources.GPU == 0 || !p.mayRun(n, decisions[n.index]) {
			continue
		}
		if ids := devices(); n.resources.GPU > len(ids) {
			out = append(out, n.problem(plugins.Problem{Code: plugins.Unavailable, Message: fmt.Sprintf("asks for %s, %s",
				countText(n.resources.GPU, "GPU"), thereAre(ids)),
				Hint: "SO8T_GPUS lists the devices that may be used, where they are not found"}))
		}
	}
	return out
}

func thereAre(ids []string) string {
	switch len(ids) {
	case 0:
		return "there is none"
	case 1:
		return "there is 1 (" + ids[0] + ")"
	}
	return fmt.Sprintf("there are %d (%s)", len(ids), strings.Join(ids, ", "))
}

func countText(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// diskProblem is that all that would run writes more than fits, with what each stage writes.
func (p *planner) diskProblem(decisions []decision) []StageProblem {
	type need struct {
		n     *node
		bytes int64
	}
	var needs []need
	var sum int64
	for _, n := range p.nodes {
		if bytes := max(p.reports[n.instance].Needs.Disk, n.resources.Disk); bytes > 0 && p.mayRun(n, decisions[n.index]) {
			needs = append(needs, need{n, bytes})
			sum += bytes
		}
	}
	free := freeDisk(p.e.store.Dir())
	if free == 0 || sum <= free {
		return nil
	}
	slices.SortStableFunc(needs, func(a, b need) int { return int(min(max(b.bytes-a.bytes, -1), 1)) })
	const shown = 5
	var parts []string
	for _, need := range needs[:min(len(needs), shown)] {
		parts = append(parts, need.n.instance+" "+byteText(need.bytes))
	}
	if more := len(needs) - shown; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return []StageProblem{needs[0].n.problem(plugins.Problem{Code: plugins.OutOfDisk,
		Message: fmt.Sprintf("the run writes up to %s (%s), %s are free in %s", byteText(sum), strings.Join(parts, ", "), byteText(free), p.e.store.Dir()),
		Hint:    "free some space, or set SO8T_STATE to a folder on another disk"})}
}
