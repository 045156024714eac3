package host_test

import (
	"testing"

	"github.com/so8t/so8t/plugins/host"
)

// TestUsage_WithChildren: a child's bytes, time and memory count, and only the end tells them all.
func TestUsage_WithChildren(t *testing.T) {
	const bytes = 50_000_000
	p := launch(t, self("stage"), host.Options{})
	before, whole := p.Usage()
	if !whole || before.PeakRSS < 1<<20 {
		t.Fatalf("before: %+v, whole %v", before, whole)
	}
	if _, err := p.Run(t.Context(), attempt(t, "children", "head -c 50000000 /dev/zero | cat >/dev/null"), nil); err != nil {
		t.Fatal(err)
	}
	if _, whole := p.Usage(); whole {
		t.Error("the children's memory is taken for known before the end")
	}
	if u, ok := host.RunningUsage(p.Record()); !ok || u.PeakRSS < 1<<20 {
		t.Errorf("while it runs: %+v, %v", u, ok)
	}
	p.Close()
	u, whole := p.Usage()
	if !whole || u.CPU <= 0 || u.PeakRSS < 1<<20 || u.Read < bytes || u.Written < bytes {
		t.Errorf("after: %+v, whole %v", u, whole)
	}
	if u, ok := host.RunningUsage(p.Record()); ok {
		t.Errorf("of a process that is gone: %+v", u)
	}
}
