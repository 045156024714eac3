package engine

import (
	"math/rand/v2"
	"testing"
)

// TestReadyLanes: of all that fit the first comes out, and of one lane one is asked.
func TestReadyLanes(t *testing.T) {
	const items, lanes = 700, 7
	r := rand.New(rand.NewPCG(3, 4))
	ready := readyLanes{}
	all := map[readyItem]int{}
	for i := range items {
		item, lane := readyItem{priority: r.IntN(4), index: i}, r.IntN(lanes)
		ready.push(demand{cpu: lane}, item)
		all[item] = lane
	}
	laneOf := map[int]int{}
	for item, lane := range all {
		laneOf[item.index] = lane
	}
	for len(all) > 0 {
		full, asked := r.IntN(lanes+1), 0
		got, found := ready.pop(func(i int) bool {
			asked++
			return laneOf[i] != full
		})
		if asked > lanes {
			t.Fatalf("asked for %d of %d lanes", asked, lanes)
		}
		var want readyItem
		any := false
		for item, lane := range all {
			if lane != full && (!any || item.before(want)) {
				want, any = item, true
			}
		}
		if found != any || got != want {
			t.Fatalf("got %+v, %v; want %+v, %v", got, found, want, any)
		}
		delete(all, got)
	}
	if len(ready) > 0 {
		t.Errorf("left %v", ready)
	}
}
