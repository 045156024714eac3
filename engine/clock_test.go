package engine

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins"
)

// jumpyClock is a clock that is set back and forth, by seconds and by years, every few times that
// somebody looks at it.
type jumpyClock struct {
	mu    sync.Mutex
	r     *rand.Rand
	at    time.Time
	jumps int
}

// newJumpyClock makes one that jumps when the seed is odd.
func newJumpyClock(seed uint64) *jumpyClock {
	c := &jumpyClock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if seed%2 == 1 {
		c.r = rand.New(rand.NewPCG(seed, 2))
	}
	return c
}

func (c *jumpyClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Millisecond)
	if c.r != nil && c.r.IntN(5) == 0 {
		c.jumps++
		far := []time.Duration{time.Second, time.Hour, 3 * 365 * 24 * time.Hour}[c.r.IntN(3)]
		c.at = c.at.Add(time.Duration(c.r.Int64N(2*int64(far))) - far)
	}
	return c.at
}

// TestRun_ClockSetBack: whatever the clock says, the newest run is the one that began last, nothing
// takes less than no time, and a run that was cut off goes on.
func TestRun_ClockSetBack(t *testing.T) {
	s := &fakeStage{run: withCheckpoint(nested)}
	e := fakeEngine(t, oneFake+"  t: { uses: fake, needs: [s], with: { seed: 1 } }\n", s)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e.now = func() time.Time { at = at.Add(-time.Hour); return at }
	e.opts.Listener = func(ev Event) {
		if ev.Elapsed < 0 {
			t.Errorf("%s of %s took %s", ev.Kind, ev.Instance, ev.Elapsed)
		}
	}
	var last string
	for range 3 {
		v := fakeRun(t, e)
		if v.State != "succeeded" || v.Run <= last {
			t.Errorf("run %s after %s: %s", v.Run, last, v.State)
		}
		last = v.Run
	}
	n := 12
	e.crash.observe = func(string, string) error {
		if n--; n <= 0 {
			return errKilled
		}
		return nil
	}
	w, err := e.Load(t.Context(), "so8t.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Plan(t.Context(), w, Selection{ForceAll: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(t.Context(), p, RunOptions{}); err == nil {
		t.Fatal("it was not cut off")
	}
	e.crash.observe = nil
	s.run = func(a *plugins.Attempt) (plugins.Result, error) { return nested(a) }
	o, err := e.Resume(t.Context(), "", ResumeOptions{})
	if err != nil || o.State != "succeeded" || o.Run <= last {
		t.Errorf("resumed: %+v, %v; the run before was %s", o, err, last)
	}
}
