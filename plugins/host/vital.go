package host

import (
	"context"
	"sync"
	"time"

	"github.com/so8t/so8t/plugins"
)

// vital is what is known of a running stage being alive. Times are readings of the monotonic
// clock, which stands still while the machine sleeps.
type vital struct {
	mu    sync.Mutex
	last  time.Time
	beats bool // the plugin sends heartbeats
	// Silence is not the plugin's fault while it is held up by our own handling of an event,
	// or suspended.
	busy, suspended bool
	kill            *time.Timer
}

func (v *vital) begin() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last, v.beats = time.Now(), false
}

func (v *vital) alive(beat bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = time.Now()
	v.beats = v.beats || beat
}

// handling says that an event is being handled, or no longer is.
func (v *vital) handling(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last, v.busy = time.Now(), on
}

// suspend says that the plugin is stopped, or goes on.
func (v *vital) suspend(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last, v.suspended = time.Now(), on
}

// silence is how long there was no sign of life.
func (v *vital) silence() (d time.Duration, beats bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.busy || v.suspended {
		v.last = time.Now()
	}
	return time.Since(v.last), v.beats
}

// deadline remembers the timer that kills a stage which does not stop; the earlier one goes.
func (v *vital) deadline(t *time.Timer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.kill != nil {
		v.kill.Stop()
	}
	v.kill = t
}

// end disarms that timer.
func (v *vital) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.kill != nil {
		v.kill.Stop()
		v.kill = nil
	}
}

// watch kills the plugin when it gives no sign of life for limit. The function that it
// returns ends the watch, and the wait for a stage that was asked to stop.
func (p *Process) watch(limit time.Duration) func() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		every := max(limit/8, time.Millisecond)
		t := time.NewTicker(every)
		defer t.Stop()
		before := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			if time.Since(before) > limit/2 {
				p.life.alive(false) // we were stopped ourselves
			}
			before = time.Now()
			silence, beats := p.life.silence()
			if silence > limit/2 && !beats {
				answered := p.ping(ctx, limit/4)
				before = time.Now() // the wait for an answer was no stop of ours
				if answered {
					p.life.alive(false)
					continue
				}
			}
			if silence > limit {
				p.doom(plugins.Errorf(plugins.Crashed, "gave no sign of life for %s", limit))
				return
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
		p.life.end()
	}
}

// ping asks a plugin that sends no heartbeats whether it is alive.
func (p *Process) ping(ctx context.Context, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return p.client.Ping(ctx) == nil
}
