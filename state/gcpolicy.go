package state

import (
	"slices"
	"strings"
	"time"
)

// GCPolicy says which runs may go. The zero value lets none go: only what nothing can use
// any more is removed then.
type GCPolicy struct {
	// ByCount lets runs go that are not among the Keep newest, OlderThan those that ended
	// longer ago. With both, a run must be both.
	ByCount   bool
	Keep      int
	OlderThan time.Duration
	// MaxSize, in bytes, lets the oldest runs go until the rest takes no more; the newest,
	// and the Keep newest, stay.
	MaxSize int64
	// KeepRuns stay whatever else is said, as pinned runs and those of a live engine do.
	KeepRuns []string
	// DryRun only says what would be removed.
	DryRun bool
	Now    time.Time
}

// gcRun is a run as a policy sees it.
type gcRun struct {
	run   Run
	bytes int64
	// held: an engine works on it.
	held bool
	// refs are the other runs that it cannot do without.
	refs map[string]bool
}

// references are the runs, other than its own, that a stage cannot do without: those in whose
// folders its outputs lie, or, of one without outputs, the one whose log and curves it shows.
func (s *StageRecord) references() []string {
	var refs []string
	for _, o := range s.Outputs {
		parts := strings.SplitN(o.Path, "/", 3)
		if len(parts) == 3 && parts[0] == runsName && parts[1] != s.Run && !slices.Contains(refs, parts[1]) {
			refs = append(refs, parts[1])
		}
	}
	if len(s.Outputs) == 0 && s.FromRun != "" && s.FromRun != s.Run {
		refs = append(refs, s.FromRun)
	}
	return refs
}

// choose returns the ids of the runs that go. runs are newest first.
func (p GCPolicy) choose(runs []gcRun) map[string]bool {
	gone := map[string]bool{}
	for i, r := range runs {
		if !p.protects(r) && p.passed(i, r.run) {
			gone[r.run.ID] = true
		}
	}
	spare(runs, gone)
	if p.MaxSize > 0 {
		p.shrink(runs, gone)
	}
	return gone
}

func (p GCPolicy) protects(r gcRun) bool {
	return r.held || r.run.Pinned || slices.Contains(p.KeepRuns, r.run.ID)
}

// passed reports whether the run at place i, counted from the newest, may go by number and age.
func (p GCPolicy) passed(i int, r Run) bool {
	if !p.ByCount && p.OlderThan <= 0 {
		return false
	}
	last := r.Ended
	if last.IsZero() {
		last = r.Started
	}
	return (!p.ByCount || i >= p.Keep) && (p.OlderThan <= 0 || p.Now.Sub(last) > p.OlderThan)
}

// spare takes out of gone what a run that stays refers to, directly or by way of others.
func spare(runs []gcRun, gone map[string]bool) {
	byID := make(map[string]gcRun, len(runs))
	var todo []gcRun
	for _, r := range runs {
		byID[r.run.ID] = r
		if !gone[r.run.ID] {
			todo = append(todo, r)
		}
	}
	for len(todo) > 0 {
		r := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for id := range r.refs {
			if gone[id] {
				delete(gone, id)
				todo = append(todo, byID[id])
			}
		}
	}
}

// shrink lets the oldest runs go, that no run which stays refers to, until the rest fits.
func (p GCPolicy) shrink(runs []gcRun, gone map[string]bool) {
	users := map[string]int{} // by run: how many of those that stay refer to it
	var total int64
	for _, r := range runs {
		if gone[r.run.ID] {
			continue
		}
		total += r.bytes
		for id := range r.refs {
			users[id]++
		}
	}
	stays := 1
	if p.ByCount {
		stays = max(stays, p.Keep)
	}
	// A run that goes may set older ones free, which are looked at again.
	for again := true; again && total > p.MaxSize; {
		again = false
		for i := len(runs) - 1; i >= stays && total > p.MaxSize; i-- {
			r := runs[i]
			if gone[r.run.ID] || users[r.run.ID] > 0 || p.protects(r) {
				continue
			}
			gone[r.run.ID] = true
			again = true
			total -= r.bytes
			for id := range r.refs {
				users[id]--
			}
		}
	}
}
