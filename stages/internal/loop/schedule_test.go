package loop

import (
	"math"
	"slices"
	"testing"
)

func TestSchedule_FollowsTransformers(t *testing.T) {
	for _, c := range []struct {
		kind string
		step int64
		want float64
	}{
		{"cosine", 0, 0}, {"cosine", 1, 0.25}, {"cosine", 4, 1}, {"cosine", 12, 0.5}, {"cosine", 20, 0},
		{"cosine", 8, 0.5 * (1 + math.Cos(math.Pi/4))},
		{"linear", 2, 0.5}, {"linear", 4, 1}, {"linear", 12, 0.5}, {"linear", 20, 0},
		{"constant", 3, 0.75}, {"constant", 4, 1}, {"constant", 19, 1},
		{"wsd", 2, 0.5}, {"wsd", 4, 1}, {"wsd", 15, 1}, {"wsd", 16, 0.8}, {"wsd", 19, 0.2}, {"wsd", 20, 0},
	} {
		s := Schedule{Kind: c.kind, Peak: 2e-3, Warmup: 4, Steps: 20}
		if c.kind == "wsd" {
			s.Decay = 5
		}
		if got := s.Rate(c.step); math.Abs(got-2e-3*c.want) > 1e-18 {
			t.Errorf("%s step %d: %g, want %g", c.kind, c.step, got, 2e-3*c.want)
		}
	}
	if r := (Schedule{Kind: "cosine", Peak: 1, Steps: 10}).Rate(0); r != 1 {
		t.Errorf("without warm-up the first step has rate %g, want the peak", r)
	}
}

func TestSchedule_RefusesNonsense(t *testing.T) {
	for _, s := range []Schedule{
		{Kind: "cosin", Peak: 1, Steps: 1}, {Kind: "cosine", Peak: -1, Steps: 1},
		{Kind: "cosine", Peak: math.NaN(), Steps: 1}, {Kind: "cosine", Peak: 1, Warmup: 3, Steps: 2},
		{Kind: "wsd", Peak: 1, Warmup: 3, Decay: 3, Steps: 5}, {Kind: "wsd", Peak: 1, Decay: -1, Steps: 5},
	} {
		if s.check() == nil {
			t.Errorf("%+v accepted", s)
		}
	}
}

func TestOrder_EveryEpochIsAnotherPermutationAndAnyPositionIsReachable(t *testing.T) {
	const rows = 97
	o := newOrder(7, rows)
	var epochs [3][]int
	for p := range int64(3 * rows) {
		epochs[p/rows] = append(epochs[p/rows], o.row(p))
	}
	for e, seen := range epochs {
		sorted := slices.Sorted(slices.Values(seen))
		for i, r := range sorted {
			if r != i {
				t.Fatalf("epoch %d is no permutation: %v", e, seen)
			}
		}
	}
	if slices.Equal(epochs[0], epochs[1]) || slices.Equal(epochs[1], epochs[2]) {
		t.Error("two epochs have the same order")
	}
	for _, p := range []int64{0, 50, 96, 97, 200, 290} {
		if got := newOrder(7, rows).row(p); got != epochs[p/rows][p%rows] {
			t.Errorf("position %d reached directly gives row %d, in sequence %d", p, got, epochs[p/rows][p%rows])
		}
	}
	if newOrder(8, rows).row(0) == epochs[0][0] && newOrder(8, rows).row(1) == epochs[0][1] {
		t.Error("another seed gives the same order")
	}
}

func TestOrder_GroupedByLength(t *testing.T) {
	const rows, window = 1003, 8
	lengths := make([]int, rows)
	for i := range lengths {
		lengths[i] = 10 + int(Mix(3, uint64(i))%500)
	}
	grouped := func() *order {
		o := newOrder(7, rows)
		o.lengths, o.window = lengths, window
		return o
	}
	o := grouped()
	seen, spread, longFirst := map[int]bool{}, 0, 0
	for w := range int64(rows / window) {
		least, most := 1000, 0
		for p := w * window; p < (w+1)*window; p++ {
			r := o.row(p)
			seen[r] = true
			least, most = min(least, lengths[r]), max(most, lengths[r])
		}
		spread += most - least
		if w > 0 && most > lengths[o.row((w-1)*window)] {
			longFirst++
		}
	}
	for p := int64(rows / window * window); p < rows; p++ {
		seen[o.row(p)] = true
	}
	if len(seen) != rows {
		t.Fatalf("an epoch visits %d of %d rows", len(seen), rows)
	}
	if mean := spread / (rows / window); mean > 20 { // 390 in a plain shuffle
		t.Errorf("the lengths of a window differ by %d", mean)
	}
	if longFirst < rows/window/3 {
		t.Errorf("windows come in the order of their length: only %d are longer than the one before", longFirst)
	}
	if got, want := grouped().row(2*rows+77), o.row(2*rows+77); got != want {
		t.Errorf("position reached directly gives row %d, in sequence %d", got, want)
	}
}
