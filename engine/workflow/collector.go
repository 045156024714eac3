package workflow

import (
	"runtime/debug"
	"sync"
)

// Reading a large file makes much that lives for a moment. While one is read the collector runs sooner,
// so that the memory of the process is not twice what is in use.
const (
	largeFile    = 64 << 10 // bytes
	tightPercent = 25
)

var tight struct {
	sync.Mutex
	readers int
	percent int // what it was
}

// tightenCollector makes the collector run sooner until the function that it gives is called.
func tightenCollector() (release func()) {
	tight.Lock()
	defer tight.Unlock()
	if tight.readers++; tight.readers == 1 {
		tight.percent = debug.SetGCPercent(tightPercent)
		if tight.percent >= 0 && tight.percent < tightPercent {
			debug.SetGCPercent(tight.percent)
		}
	}
	return func() {
		tight.Lock()
		defer tight.Unlock()
		if tight.readers--; tight.readers == 0 {
			debug.SetGCPercent(tight.percent)
		}
	}
}
