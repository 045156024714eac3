package cuda

import (
	"time"
	"unsafe"
)

// Time is what the launches of one kernel took on the card.
type Time struct {
	Launches int
	Total    time.Duration
}

// timing records an event before and after each launch.
type timing struct {
	names  []string
	events []uintptr // two for each name
}

// StartTiming times every launch and product from now on. It takes a little time itself: for looking, not for training.
func (d *Device) StartTiming() {
	d.do(func() error { d.timing = &timing{}; return nil })
}

// StopTiming waits for what is queued and returns the times by kernel, products under "gemm".
func (d *Device) StopTiming() (map[string]Time, error) {
	times := map[string]Time{}
	err := d.await(func() error {
		t := d.timing
		d.timing = nil
		if t == nil {
			return nil
		}
		if err := d.synchronise(); err != nil {
			return err
		}
		for i, name := range t.names {
			var ms float32
			if err := call("cuEventElapsedTime", uintptr(unsafe.Pointer(&ms)), t.events[2*i], t.events[2*i+1]); err != nil {
				return err
			}
			v := times[name]
			times[name] = Time{Launches: v.Launches + 1, Total: v.Total + time.Duration(float64(ms)*float64(time.Millisecond))}
		}
		for _, e := range t.events {
			if err := call("cuEventDestroy_v2", e); err != nil {
				return err
			}
		}
		return nil
	})
	return times, err
}

// timed runs one launch between two events when timing is on.
func (d *Device) timed(name string, launch func() error) error {
	if d.timing == nil {
		return launch()
	}
	if err := d.mark(); err != nil {
		return err
	}
	if err := launch(); err != nil {
		return err
	}
	d.timing.names = append(d.timing.names, name)
	return d.mark()
}

func (d *Device) mark() error {
	var event uintptr
	if err := call("cuEventCreate", uintptr(unsafe.Pointer(&event)), 0); err != nil {
		return err
	}
	d.timing.events = append(d.timing.events, event)
	return call("cuEventRecord", event, d.stream)
}
