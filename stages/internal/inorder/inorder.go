// Package inorder does the parts of a job on several goroutines and hands their results over one
// after the other, in the order of the parts: what is written or summed is the same whatever
// number of goroutines worked.
package inorder

import (
	"runtime"
	"sync"
)

// Jobs is the number of goroutines for a wish: all processors for 0.
func Jobs(wish int) int {
	if wish > 0 {
		return wish
	}
	return runtime.GOMAXPROCS(0)
}

// result is what a part came to.
type result[T any] struct {
	value T
	err   error
}

// part is one part on its way.
type part[T any] struct {
	i    int
	done chan result[T]
}

// Do calls produce(0) … produce(n-1) on up to jobs goroutines and consume with each result on the
// caller's, in order. At most jobs+1 results wait to be consumed. The first error, in order, ends
// it; when Do returns nothing of it runs any more.
func Do[T any](jobs, n int, produce func(i int) (T, error), consume func(i int, value T) error) error {
	if jobs = min(jobs, n); jobs <= 1 {
		return alone(n, produce, consume)
	}
	work, order, stop := make(chan part[T]), make(chan part[T], jobs), make(chan struct{})
	var running sync.WaitGroup
	for range jobs {
		running.Go(func() {
			for p := range work {
				value, err := produce(p.i)
				p.done <- result[T]{value, err}
			}
		})
	}
	running.Go(func() {
		defer close(order)
		defer close(work)
		for i := range n {
			p := part[T]{i, make(chan result[T], 1)}
			select {
			case order <- p:
			case <-stop:
				return
			}
			work <- p
		}
	})
	var err error
	for p := range order {
		if err != nil {
			continue // parts that were under way when it went wrong
		}
		r := <-p.done
		if err = r.err; err == nil {
			err = consume(p.i, r.value)
		}
		if err != nil {
			close(stop)
		}
	}
	running.Wait()
	return err
}

func alone[T any](n int, produce func(i int) (T, error), consume func(i int, value T) error) error {
	for i := range n {
		value, err := produce(i)
		if err == nil {
			err = consume(i, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
