package backend_test

import (
	"math"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
)

// Values fixed for good: another value would make resumed runs continue with other bits.
func TestDropoutIsPinned(t *testing.T) {
	row := backend.DropoutRow(1, 2, 3)
	got := [3]uint64{row, uint64(backend.DropoutHash(row, 0)), uint64(backend.DropoutHash(row, 77))}
	want := [3]uint64{0x4a2a45a1bd1c8017, 0xc5da5c25, 0x17230828}
	if got != want {
		t.Errorf("got %#x, want %#x", got, want)
	}
}

func TestDropoutLosesTheRightShare(t *testing.T) {
	const rows, cols, p = 400, 512, 0.05
	limit := backend.DropoutThreshold(p)
	perColumn := make([]int, cols)
	lost, pairs := 0, 0
	for r := range rows {
		row := backend.DropoutRow(9, uint64(r/20), r%20)
		before := false
		for c := range cols {
			now := backend.DropoutHash(row, uint32(c)) < limit
			if now {
				lost++
				perColumn[c]++
				if before {
					pairs++
				}
			}
			before = now
		}
	}
	n := float64(rows * cols)
	if d := math.Abs(float64(lost)-p*n) / math.Sqrt(n*p*(1-p)); d > 4 {
		t.Errorf("lost %d of %g: %.1f standard deviations from %g", lost, n, d, p)
	}
	if d := math.Abs(float64(pairs)-p*p*n) / math.Sqrt(n*p*p); d > 4 {
		t.Errorf("%d neighbouring pairs lost: %.1f standard deviations off", pairs, d)
	}
	for c, k := range perColumn {
		if k > 50 { // mean 20, standard deviation 4.4
			t.Errorf("channel %d is lost %d times in %d rows", c, k, rows)
		}
	}
}
