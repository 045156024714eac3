package cpu

import (
	"sync/atomic"
	"testing"
)

func TestPoolRunsEveryPartOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 5} {
		p := newPool(threads)
		for round := range 300 {
			parts := round % 17
			counts := make([]atomic.Int32, parts)
			p.run(parts, func(i int) { counts[i].Add(1) })
			for i := range counts {
				if n := counts[i].Load(); n != 1 {
					t.Fatalf("%d threads, part %d of %d ran %d times", threads, i, parts, n)
				}
			}
		}
		p.close()
	}
}

func TestPoolRaisesAPanicAndGoesOn(t *testing.T) {
	p := newPool(3)
	defer p.close()
	for bad := range 6 {
		func() {
			defer func() {
				if r := recover(); r != "bad part" {
					t.Errorf("recovered %v", r)
				}
			}()
			p.run(6, func(i int) {
				if i == bad {
					panic("bad part")
				}
			})
			t.Error("no panic reached the caller")
		}()
	}
	var n atomic.Int32
	p.run(6, func(int) { n.Add(1) })
	if n.Load() != 6 {
		t.Errorf("%d parts ran after the panics", n.Load())
	}
}
