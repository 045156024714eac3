package engine

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/so8t/so8t/plugins"
)

// retryPolicy says which failures are tried again, how often and after what wait.
type retryPolicy struct {
	Max        int           // tries after the first
	Backoff    time.Duration // before the second try
	Factor     float64       // of each wait to the one before
	MaxBackoff time.Duration // 0 = unbounded
	Jitter     bool
	On         []plugins.Code // nil: all but notRetried
}

// notRetried fail the same way again, or were wanted.
var notRetried = []plugins.Code{plugins.BadInput, plugins.Cancelled, plugins.Gate}

// again reports whether the failed try, counted from 1, is followed by another.
func (p retryPolicy) again(try int, code plugins.Code) bool {
	if try > p.Max {
		return false
	}
	if p.On != nil {
		return slices.Contains(p.On, code)
	}
	return !slices.Contains(notRetried, code)
}

// wait is how long to wait after the failed try, counted from 1. With jitter it is between
// half of that and all of it, the same for the same seed.
func (p retryPolicy) wait(try int, seed string) time.Duration {
	factor := p.Factor
	if factor < 1 {
		factor = 2
	}
	d := float64(p.Backoff)
	limit := float64(p.MaxBackoff)
	if limit <= 0 {
		limit = float64(365 * 24 * time.Hour)
	}
	for range try - 1 {
		if d >= limit {
			break
		}
		d *= factor
	}
	d = min(d, limit)
	if p.Jitter {
		h := fnv.New64a()
		h.Write([]byte(seed))
		d = d/2 + rand.New(rand.NewPCG(h.Sum64(), uint64(try))).Float64()*d/2
	}
	return time.Duration(d)
}
