package inorder

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
)

func TestDo_ResultsComeInOrder(t *testing.T) {
	for _, jobs := range []int{1, 2, 7, 100} {
		var got []int
		err := Do(jobs, 50, func(i int) (int, error) { return i * i, nil }, func(i, v int) error {
			got = append(got, i, v)
			return nil
		})
		var want []int
		for i := range 50 {
			want = append(want, i, i*i)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d jobs: %v, %v", jobs, got, err)
		}
	}
	if err := Do(3, 0, func(int) (int, error) { return 0, nil }, func(int, int) error { return nil }); err != nil {
		t.Error(err)
	}
}

// The first error in the order of the parts is returned, and nothing behind it is consumed.
func TestDo_FirstErrorEndsIt(t *testing.T) {
	early, late := errors.New("early"), errors.New("late")
	for _, jobs := range []int{1, 2, 4} {
		consumed := 0
		var running atomic.Int32
		err := Do(jobs, 1000, func(i int) (int, error) {
			running.Add(1)
			defer running.Add(-1)
			switch i {
			case 10:
				return 0, early
			case 11:
				return 0, late
			}
			return i, nil
		}, func(i, _ int) error {
			consumed++
			return nil
		})
		if !errors.Is(err, early) || consumed != 10 || running.Load() != 0 {
			t.Errorf("%d jobs: %v, %d consumed, %d still running", jobs, err, consumed, running.Load())
		}
		err = Do(jobs, 1000, func(i int) (int, error) { return i, nil }, func(i, _ int) error {
			if i == 5 {
				return late
			}
			return nil
		})
		if !errors.Is(err, late) {
			t.Errorf("%d jobs: %v", jobs, err)
		}
	}
}

// However slow the consumer, only so many results wait for it.
func TestDo_BoundsWhatWaits(t *testing.T) {
	const jobs = 3
	var made, used, most atomic.Int64
	err := Do(jobs, 500, func(i int) (int, error) {
		if waiting := made.Add(1) - used.Load(); waiting > most.Load() {
			most.Store(waiting)
		}
		return i, nil
	}, func(int, int) error { used.Add(1); return nil })
	if err != nil || most.Load() > 2*jobs+2 {
		t.Errorf("%d results were there at once, %v", most.Load(), err)
	}
}
