package host

import "time"

// Usage is what a process has taken, with the processes that it started and waited for. What a
// system does not tell is 0.
type Usage struct {
	CPU time.Duration
	// PeakRSS is the most memory that one of them held at once, in bytes.
	PeakRSS int64
	// Read and Written are bytes handed over by the system, from its cache or from a device.
	Read, Written int64
}

// Usage says what the plugin has taken so far. It is not whole while the plugin runs and the
// system does not tell then, or not all: of its children's memory it tells when it has ended.
func (p *Process) Usage() (u Usage, whole bool) {
	c := p.child
	if c.exited == nil { // it never started
		return Usage{}, true
	}
	select {
	case <-c.exited:
		return c.used, true
	default:
		return runningUsage(c.record)
	}
}
