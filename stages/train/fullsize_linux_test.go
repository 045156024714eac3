package train

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/dataset"
	"github.com/so8t/so8t/stages/internal/phi3"
)

// fullSizeLimit is what the process may take, bytes: that of a machine of 16 GB with a desktop.
const fullSizeLimit = 12_000_000_000

// TestRun_FullSize trains Phi-4-mini's shapes for four steps of one row of 128 tokens at the
// guide's settings, on the folder that SO8T_FULLSIZE names, and says what it took: task fullsize:train.
// The first step is the one that memory is taken for; a checkpoint is written after each.
func TestRun_FullSize(t *testing.T) {
	dir := os.Getenv("SO8T_FULLSIZE")
	if dir == "" {
		t.Skip("set SO8T_FULLSIZE to the folder that task fullsize:model made: task fullsize:train")
	}
	const tokens = 128
	rows := filepath.Join(t.TempDir(), "rows.jsonl")
	must(t, dataset.WriteFile(rows, []dataset.Row{{ID: "long", Messages: []chat.Message{
		{Role: "user", Content: "港の計画を説明してください。"}, {Role: "assistant", Content: strings.Repeat("公開の情報です。", tokens)}}}}))
	base := filepath.Join(dir, "base")
	a := attempt(t, with(t, "", map[string]any{
		"base": base, "dataset": rows, "validation": rows, "length": tokens, "overflow": "truncate", "steps": 4, "batch": 1, "accumulation": 1,
		"lr": 2e-4, "lora": map[string]any{"r": 64, "alpha": 128, "dropout": 0.05}, "storage": "int8", "recompute": true, "eval": map[string]any{"every": 2},
	}))
	keep := a.Publish
	a.Publish = func(ctx context.Context, c plugins.Checkpoint, write func(string) error) (plugins.Checkpoint, error) {
		if err := os.RemoveAll(a.CheckpointDir); err != nil { // 1.1 GB each
			return c, err
		}
		return keep(ctx, c, write)
	}
	m := watchMemory(t)
	began := time.Now()
	last, used := began, processors(t)
	a.Emit = func(e plugins.Event) {
		now := time.Now()
		switch e := e.(type) {
		case plugins.LogLine:
			t.Logf("%5.1f s, %.1f s of processors  %s; anonymous %.2f GB, of files %.2f GB", now.Sub(began).Seconds(), processors(t), e.Message, m.now("RssAnon"), m.now("RssFile"))
		case plugins.Progress:
			t.Logf("%5.1f s  step %d, %.1f s, %.1f s of processors: %s; anonymous %.2f GB, of files %.2f GB", now.Sub(began).Seconds(), e.Done,
				now.Sub(last).Seconds(), processors(t)-used, e.Message, m.now("RssAnon"), m.now("RssFile"))
		default:
			return
		}
		last, used = now, processors(t)
	}
	result, err := Stage{}.Run(t.Context(), a)
	must(t, err)
	m.end()

	c, err := parse(a.With)
	must(t, err)
	config, err := phi3.ReadConfig(base)
	must(t, err)
	p, err := plan(c, c.adapter(nil), config, tokens)
	must(t, err)
	t.Logf("%s", describe(p))
	buffers := result.Metrics["peak_memory_bytes"]
	t.Logf("buffers: planned %.2f GB, held %.2f GB; process: planned %.2f GB, peak %.2f GB (at most %.2f anonymous, %.2f of files)",
		float64(p.Buffers())/1e9, buffers/1e9, float64(p.Total()+room)/1e9, m.peak["VmHWM"], m.peak["RssAnon"], m.peak["RssFile"])
	if ratio := buffers / float64(p.Buffers()); ratio < 0.9 || ratio > 1.1 {
		t.Errorf("buffers are %.2f of what was planned", ratio)
	}
	if peak, planned := m.peak["VmHWM"]*1e9, float64(p.Total()+room); peak > 1.1*planned || peak < 0.9*planned {
		t.Errorf("the process took %.2f of what was planned", peak/planned)
	}
	if m.peak["VmHWM"]*1e9 > fullSizeLimit {
		t.Errorf("the process took %.2f GB", m.peak["VmHWM"])
	}
}

// memoryWatch reads what this process takes, a few times a second.
type memoryWatch struct {
	t    *testing.T
	stop chan struct{}
	done sync.WaitGroup
	mu   sync.Mutex
	peak map[string]float64 // by the name in /proc/self/status, GB
}

func watchMemory(t *testing.T) *memoryWatch {
	m := &memoryWatch{t: t, stop: make(chan struct{}), peak: map[string]float64{}}
	m.done.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			m.read()
			select {
			case <-tick.C:
			case <-m.stop:
				return
			}
		}
	})
	return m
}

// now is a figure as it is, GB.
func (m *memoryWatch) now(name string) float64 { return m.read()[name] }

func (m *memoryWatch) read() map[string]float64 {
	f, err := os.Open("/proc/self/status")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	defer f.Close()
	out := map[string]float64{}
	for s := bufio.NewScanner(f); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), ":")
		if kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64); err == nil {
			out[name] = kb * 1024 / 1e9
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, v := range out {
		m.peak[name] = max(m.peak[name], v)
	}
	return out
}

func (m *memoryWatch) end() {
	close(m.stop)
	m.done.Wait()
	m.read()
}

// processors is the processor time of this process, seconds.
func processors(t *testing.T) float64 {
	t.Helper()
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
