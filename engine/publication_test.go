package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
)

const publishing = "version: 1\nname: pub\nparams: { n: 1 }\nstages:\n  s: { uses: fake, publish: { tree: shared/tree }, with: { seed: \"${params.n}\" } }\n"

// seedTree writes a folder of two files that hold the seed.
func seedTree(a *plugins.Attempt) (plugins.Result, error) {
	for _, name := range []string{"tree/a", "tree/deep/b"} {
		path := filepath.Join(a.OutputDir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return plugins.Result{}, err
		}
		if err := os.WriteFile(path, a.With, 0o644); err != nil {
			return plugins.Result{}, err
		}
	}
	return plugins.Result{}, nil
}

func runWith(t *testing.T, e *Engine, n string) error {
	t.Helper()
	w, err := e.Load(t.Context(), "so8t.yaml", map[string]string{"n": n})
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Plan(t.Context(), w, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Run(t.Context(), p, RunOptions{})
	return err
}

// published is the content of the published folder; it must be one whole artifact.
func published(t *testing.T, e *Engine) string {
	t.Helper()
	dir := filepath.Join(e.opts.ProjectDir, "shared", "tree")
	a, errA := os.ReadFile(filepath.Join(dir, "a"))
	b, errB := os.ReadFile(filepath.Join(dir, "deep", "b"))
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Fatalf("published %q, %q (%v, %v): no whole artifact", a, b, errA, errB)
	}
	return string(a)
}

// TestPublish_FailsAtEveryDurableStep_OldOrNew breaks off before the k-th durable step of a run
// that replaces a published folder, for every k.
func TestPublish_FailsAtEveryDurableStep_OldOrNew(t *testing.T) {
	if exchange("", "") == errors.ErrUnsupported {
		t.Skip("folders are not exchanged atomically here")
	}
	swapped := false
	for k := 1; ; k++ {
		e := fakeEngine(t, publishing, &fakeStage{run: seedTree})
		if err := runWith(t, e, "1"); err != nil {
			t.Fatal(err)
		}
		old := published(t, e)
		n := 0
		e.crash.observe = func(kind, _ string) error {
			if n++; n >= k {
				swapped = swapped || n == k && kind == "exchange"
				return fmt.Errorf("broken off before %s", kind)
			}
			return nil
		}
		_ = runWith(t, e, "2")
		broke := n >= k
		if got := published(t, e); got != old && !strings.Contains(got, "2") {
			t.Fatalf("step %d: published %q", k, got)
		}
		e.crash.observe = nil
		if err := runWith(t, e, "2"); err != nil {
			t.Fatal(err)
		}
		if got := published(t, e); !strings.Contains(got, "2") {
			t.Errorf("step %d: still %q after another run", k, got)
		}
		left, err := filepath.Glob(filepath.Join(e.opts.ProjectDir, "shared", ".*"))
		if err != nil || len(left) > 0 {
			t.Errorf("step %d: left %v, %v", k, left, err)
		}
		if !broke {
			break
		}
	}
	if !swapped {
		t.Error("no step exchanged the folders: nothing was tested")
	}
}

// TestPublish_IsACopy: an edit of what was published does not damage the artifact.
func TestPublish_IsACopy(t *testing.T) {
	e := fakeEngine(t, publishing, &fakeStage{run: seedTree})
	v := fakeRun(t, e)
	path := filepath.Join(e.opts.ProjectDir, "shared", "tree", "a")
	if err := os.WriteFile(path, []byte("edited"), 0o644); err != nil {
		t.Fatal(err)
	}
	artifact := filepath.Join(e.opts.ProjectDir, filepath.FromSlash(v.Stages[0].Outputs["tree"].Path), "a")
	if text, err := os.ReadFile(artifact); err != nil || string(text) == "edited" {
		t.Errorf("the artifact holds %q, %v", text, err)
	}
	if v := fakeRun(t, e); v.Stages[0].Outcome != "cached" {
		t.Errorf("the stage is %s", v.Stages[0].Outcome)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "edited" {
		t.Errorf("the user's edit became %q, %v", text, err)
	}
}

// TestPublish_CutOffAfterTheExchange: what was replaced does not stay beside what replaced it.
func TestPublish_CutOffAfterTheExchange(t *testing.T) {
	if exchange("", "") == errors.ErrUnsupported {
		t.Skip("folders are not exchanged atomically here")
	}
	e := fakeEngine(t, publishing, &fakeStage{run: seedTree})
	if err := runWith(t, e, "1"); err != nil {
		t.Fatal(err)
	}
	old := published(t, e)
	disk := e.disk
	e.disk = manifest.Watched(disk, func(_ manifest.Op, path string) error {
		if filepath.Base(path) == "shared" && published(t, e) != old {
			return errors.New("cut off")
		}
		return nil
	})
	if err := runWith(t, e, "2"); err != nil {
		t.Fatal(err)
	}
	left := func() []string {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(e.opts.ProjectDir, "shared", ".*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if len(left()) == 0 {
		t.Fatal("it was not cut off")
	}
	e.disk = disk
	if err := runWith(t, e, "2"); err != nil {
		t.Fatal(err)
	}
	if names := left(); len(names) > 0 {
		t.Errorf("left %v", names)
	}
}

// TestPublish_PathsThatOverlap are found whichever comes first, and in a time that grows with their number.
func TestPublish_PathsThatOverlap(t *testing.T) {
	taken := takenPaths{at: map[string]takenPath{}, below: map[string]takenPath{}}
	for _, c := range []struct{ path, with string }{
		{"a/b/c", ""}, {"a/d", ""}, {"a/b", "a/b/c"}, {"a/b/c/x", "a/b/c"}, {"a/d", "a/d"}, {"a/bc", ""}, {"e", ""}, {"e/f/g", "e"},
	} {
		other, overlaps := taken.take(c.path, nil)
		if overlaps != (c.with != "") || other.path != c.with && !overlap(other.path, c.path) {
			t.Errorf("%s overlaps with %q, want %q", c.path, other.path, c.with)
		}
	}
	for i := range 100_000 {
		if other, overlaps := taken.take(fmt.Sprintf("many/%d/%d", i%300, i), nil); overlaps {
			t.Fatalf("%d overlaps with %s", i, other.path)
		}
	}
}

// TestPublish_EndsWithASignal: a large copy that is cut off leaves nothing, and what was there stays.
func TestPublish_EndsWithASignal(t *testing.T) {
	s := &fakeStage{run: seedTree}
	e := fakeEngine(t, publishing, s)
	if err := runWith(t, e, "1"); err != nil {
		t.Fatal(err)
	}
	before := published(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	large := filepath.Join(t.TempDir(), "large")
	f, err := os.Create(large)
	if err != nil {
		t.Fatal(err)
	}
	const size = 100 << 20 // a hole
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(e.opts.ProjectDir, "shared", "tree")
	if err := e.place(ctx, filepath.Dir(large), target); !errors.Is(err, context.Canceled) {
		t.Errorf("placing it: %v", err)
	}
	if published(t, e) != before {
		t.Error("another content is published")
	}
	if _, err := os.Lstat(besides(target)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a copy stays: %v", err)
	}
}
