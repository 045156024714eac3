package state

import (
	"testing"
)

// TestLockDevices_TakesTheFirstThatIsFree, whichever that is.
func TestLockDevices_TakesTheFirstThatIsFree(t *testing.T) {
	ids := []string{"0", "1"}
	for _, free := range ids {
		dir := t.TempDir()
		held := map[string]*DeviceLocks{}
		for _, id := range ids {
			var err error
			if held[id], err = LockDevices(t.Context(), dir, []string{id}, 1, Self("test", id), nil); err != nil {
				t.Fatal(err)
			}
		}
		d, err := LockDevices(t.Context(), dir, ids, 1, Self("test", ""), func(h Holder) {
			if held[h.Run] == nil {
				t.Errorf("it waits for %+v", h)
			}
			if err := held[free].Release(); err != nil {
				t.Error(err)
			}
		})
		if err != nil || len(d.IDs) != 1 || d.IDs[0] != free {
			t.Fatalf("device %s is free, got %+v, %v", free, d, err)
		}
		for _, l := range append([]*DeviceLocks{d}, held["0"], held["1"]) {
			if err := l.Release(); err != nil {
				t.Error(err)
			}
		}
	}
}
