package state

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// writeLatencies measures n updates.
func writeLatencies(t testing.TB, s *Store, n int) (p50, p99, worst time.Duration) {
	t.Helper()
	a := newAttempt(testRun, "train", 1)
	list := make([]time.Duration, n)
	for i := range list {
		start := time.Now()
		update(t, s, func(tx *Tx) error { return tx.PutAttempt(a) })
		list[i] = time.Since(start)
	}
	slices.Sort(list)
	return list[n/2], list[n*99/100], list[n-1]
}

// TestWriterIsNotOvertaken: a reader that comes while a writer waits for another reader
// gets in after the writer. Without the turnstile readers that overlap keep it out for ever.
func TestWriterIsNotOvertaken(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{})
	createRun(t, s, testRun)
	var mu sync.Mutex
	var order []string
	entered := func(who string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, who)
	}
	var all sync.WaitGroup
	inside, leave := make(chan struct{}), make(chan struct{})
	start := func(who string, transaction func(context.Context, func(*Tx) error) error, in func()) {
		all.Go(func() {
			err := transaction(context.Background(), func(*Tx) error { entered(who); in(); return nil })
			if err != nil {
				t.Errorf("%s: %v", who, err)
			}
		})
	}
	start("first reader", s.View, func() { close(inside); <-leave })
	<-inside
	start("writer", s.Update, func() {})
	waitUntilTaken(t, filepath.Join(dir, turnName))
	late := make(chan struct{})
	start("late reader", s.View, func() { close(late) })
	select {
	case <-late:
		t.Error("the late reader got in while the writer waited")
	case <-time.After(50 * time.Millisecond): // as long as a wrong one would need to get in
	}
	close(leave)
	all.Wait()
	if want := []string{"first reader", "writer", "late reader"}; !slices.Equal(order, want) {
		t.Errorf("got in: %q", order)
	}
}

// TestQuietExcludesTransactions: while f runs this store holds no lock of the state.
func TestQuietExcludesTransactions(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	createRun(t, s, testRun)
	other := openStore(t, s.Dir(), Options{})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for range 20 {
				if err := s.View(context.Background(), func(*Tx) error { return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		s.Quiet(func() {
			for _, name := range []string{lockName, turnName} {
				f, err := os.Open(filepath.Join(s.Dir(), name))
				if err != nil {
					t.Error(err)
					continue
				}
				if got, err := tryLockFile(f, true); !got || err != nil {
					t.Errorf("%s is held: %v", name, err)
				}
				unlockAndClose(f)
			}
		})
		view(t, other, func(*Tx) error { return nil })
	}
	all.Wait()
}

// waitUntilTaken returns when somebody holds the flock of the file.
func waitUntilTaken(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for start := time.Now(); time.Since(start) < 20*time.Second; runtime.Gosched() {
		got, err := tryLockFile(f, true)
		if err != nil {
			t.Fatal(err)
		}
		if !got {
			return
		}
		if err := unlockFile(f); err != nil {
			t.Fatal(err)
		}
	}
	t.Errorf("nobody takes %s", filepath.Base(path))
}

// TestWritingBesideReaders: four processes read at full speed, and all writes get through.
// How long they take is in BenchmarkUpdateBesideReaders; here it would be a measure of what
// else the machine does.
func TestWritingBesideReaders(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{})
	createRun(t, s, testRun)
	for range 4 {
		startRole(t, "read", dir)
	}
	p50, p99, worst := writeLatencies(t, s, 60)
	t.Logf("a write beside 4 readers: p50 %v, p99 %v, worst %v", p50, p99, worst)
}

// BenchmarkUpdateBesideReaders reports how long a write takes while N processes read at
// full speed.
func BenchmarkUpdateBesideReaders(b *testing.B) {
	for _, readers := range []int{0, 1, 2, 4, 8} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			s := openStore(b, b.TempDir(), Options{})
			createRun(b, s, testRun)
			for range readers {
				startRole(b, "read", s.Dir())
			}
			b.ResetTimer()
			p50, p99, worst := writeLatencies(b, s, b.N)
			b.ReportMetric(float64(p50.Microseconds()), "p50-µs")
			b.ReportMetric(float64(p99.Microseconds()), "p99-µs")
			b.ReportMetric(float64(worst.Microseconds()), "max-µs")
		})
	}
}
