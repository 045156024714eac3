package engine

import (
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/state"
)

// Usage is what an attempt took: its process and those that it started and waited for. What the
// system did not tell is 0.
type Usage struct {
	CPUSeconds float64 `json:"cpu_seconds"`
	// PeakRSS is the most memory that one process held at once.
	PeakRSS int64 `json:"peak_rss_bytes"`
	// Read and Written count what the system handed over, be it from its cache.
	Read    int64 `json:"read_bytes"`
	Written int64 `json:"written_bytes"`
}

func (u Usage) addTo(m map[string]any) {
	m["cpu_seconds"], m["peak_rss_bytes"], m["read_bytes"], m["written_bytes"] = u.CPUSeconds, u.PeakRSS, u.Read, u.Written
}

// measure keeps what the plugin has taken until now, its work done. What only the end of the
// process tells is waited for.
func (a *attempt) measure() {
	if a.plugin == nil { // it was not started
		return
	}
	if !a.measured {
		a.record.Leftovers = a.gone()
		a.used, _ = a.plugin.Usage()
	}
	a.record.CPUTime, a.record.PeakRSS = a.used.CPU, a.used.PeakRSS
	a.record.BytesRead, a.record.BytesWritten = a.used.Read, a.used.Written
}

// usageOf is what the record of an attempt says.
func usageOf(a state.Attempt) Usage {
	return Usage{CPUSeconds: a.CPUTime.Seconds(), PeakRSS: a.PeakRSS, Read: a.BytesRead, Written: a.BytesWritten}
}

// usageNow is what a running plugin has taken so far.
func usageNow(p process) *Usage {
	u, _ := p.Usage()
	if u == (host.Usage{}) {
		return nil
	}
	v := usageView(u)
	return &v
}

func usageView(u host.Usage) Usage {
	return Usage{CPUSeconds: u.CPU.Seconds(), PeakRSS: u.PeakRSS, Read: u.Read, Written: u.Written}
}
