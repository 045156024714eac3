package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// These tests start the test binary again in a role, because locks, kills and damage are
// between processes.

const roleVariable = "SO8T_STATE_TEST_ROLE"

var roles = map[string]func(args []string) error{
	"read":             roleRead,
	"write":            roleWrite,
	"hold-run":         roleHoldRun,
	"hold-fingerprint": roleHoldFingerprint,
	"check-database":   roleCheckDatabase,
	"never-end":        func([]string) error { return waitForKill() },
}

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := roles[role](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if filled.dir != "" {
		_ = os.RemoveAll(filled.dir)
	}
	os.Exit(code)
}

// child is a process of this binary in a role.
type child struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

// startRole starts a role and waits for its first line, by which it says it is ready.
func startRole(t testing.TB, role string, args ...string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, out: bufio.NewReader(pipe)}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	c.line(t)
	return c
}

func (c *child) line(t testing.TB) string {
	t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatalf("reading from the child: %v", err)
	}
	return strings.TrimSpace(line)
}

// kill ends the child as a power cut would and waits for its end.
func (c *child) kill(t testing.TB) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c.out)
	_ = c.cmd.Wait()
}

func withStore(dir string, f func(*Store) error) error {
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.Close())
}

// roleRead reads the run as fast as it can until it is killed.
func roleRead(args []string) error {
	return withStore(args[0], func(s *Store) error {
		for i := 0; ; i++ {
			err := s.View(context.Background(), func(tx *Tx) error {
				if _, err := tx.Run(testRun); err != nil {
					return err
				}
				_, err := tx.RunAttempts(testRun)
				return err
			})
			if err != nil {
				return err
			}
			if i == 0 {
				fmt.Println("reading")
			}
		}
	})
}

// roleWrite goes through attempts of a run, printing the number of each that is
// committed, until it is killed.
func roleWrite(args []string) error {
	return withStore(args[0], func(s *Store) error {
		ctx := context.Background()
		var epoch int64
		first := 1
		err := s.Update(ctx, func(tx *Tx) error {
			run, err := tx.TakeOver(testRun)
			epoch = run.Epoch
			list, listErr := tx.Attempts(testRun, "train")
			first = len(list) + 1
			return errors.Join(err, listErr)
		})
		if err != nil {
			return err
		}
		fmt.Println("writing")
		for n := first; ; n++ {
			a := newAttempt(testRun, "train", n)
			a.Epoch = epoch
			if err := s.Update(ctx, func(tx *Tx) error { return tx.PutAttempt(a) }); err != nil {
				return err
			}
			a.Outcome = Failed
			a.Error = &ErrorRecord{Code: "internal", Message: strings.Repeat("long ", n%400)}
			if err := s.Update(ctx, func(tx *Tx) error { return tx.PutAttempt(a) }); err != nil {
				return err
			}
			fmt.Println(n)
		}
	})
}

// waitForKill blocks for good, in a way that the runtime does not take for a deadlock.
func waitForKill() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	_, err = r.Read(make([]byte, 1))
	return err
}

func roleHoldRun(args []string) error {
	lock, err := LockRun(args[0], args[1], Self("so8t run test.yaml", args[1]))
	if err != nil {
		return err
	}
	defer lock.Release()
	fmt.Println("held")
	return waitForKill()
}

func roleHoldFingerprint(args []string) error {
	lock, err := LockFingerprint(context.Background(), args[0], args[1], Self("so8t run test.yaml", testRun), nil)
	if err != nil {
		return err
	}
	defer lock.Release()
	fmt.Println("held")
	return waitForKill()
}

func roleCheckDatabase(args []string) error {
	for _, r := range CheckDatabase(args[0]) {
		fmt.Println(r)
	}
	return nil
}

// TestKilledWriter: after kill -9 at any moment every transaction that was reported is
// there, Check finds no damage, the journal says the same as the database or one
// transaction more, and the next engine goes on.
func TestKilledWriter(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, Options{})
	createRun(t, s, testRun)
	for round := range 12 {
		w := startRole(t, "write", dir)
		last := ""
		for range 3 + round*2 {
			last = w.line(t)
		}
		w.kill(t)
		var attempts []Attempt
		view(t, s, func(tx *Tx) (err error) {
			attempts, err = tx.Attempts(testRun, "train")
			return err
		})
		var reported int
		if _, err := fmt.Sscan(last, &reported); err != nil {
			t.Fatal(err)
		}
		if len(attempts) < reported || attempts[reported-1].Outcome != Failed {
			t.Fatalf("attempt %d was reported, %d are there", reported, len(attempts))
		}
		for _, f := range check(t, dir, CheckOptions{}) {
			// The role makes no folders for its attempts, and none succeeds.
			if f.Severity == Damage {
				t.Fatalf("round %d: %+v", round, f)
			}
		}
	}
	before, err := contentOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := Rebuild(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	after, err := contentOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(after) < len(before) {
		t.Errorf("the rebuilt database holds less:\n%s\nthan\n%s", after, before)
	}
}

func TestRunLockBetweenProcesses(t *testing.T) {
	dir := t.TempDir()
	if _, alive, err := Query(dir, testRun); alive || err != nil {
		t.Fatalf("before anything: %v, %v", alive, err)
	}
	c := startRole(t, "hold-run", dir, testRun)
	holder, alive, err := Query(dir, testRun)
	if err != nil || !alive || holder.PID != c.cmd.Process.Pid || holder.Command != "so8t run test.yaml" {
		t.Errorf("while it lives: %+v, %v, %v", holder, alive, err)
	}
	var held *HeldError
	if _, err := LockRun(dir, testRun, Self("me", testRun)); !errors.As(err, &held) || held.Holder.PID != c.cmd.Process.Pid {
		t.Errorf("second engine: %v", err)
	} else if text := err.Error(); !strings.Contains(text, fmt.Sprint("process ", c.cmd.Process.Pid)) {
		t.Errorf("%q does not name the process", text)
	}
	before, err := os.Stat(filepath.Join(RunDir(dir, testRun), runLockName))
	if err != nil {
		t.Fatal(err)
	}
	c.kill(t)
	holder, alive, err = Query(dir, testRun)
	if err != nil || alive || holder.PID != c.cmd.Process.Pid {
		t.Errorf("killed: %+v, %v, %v", holder, alive, err)
	}
	lock, err := LockRun(dir, testRun, Self("me", testRun))
	if err != nil {
		t.Fatalf("at once after the kill: %v", err)
	}
	after, err := os.Stat(filepath.Join(RunDir(dir, testRun), runLockName))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the lock's file was replaced, %v", err)
	}
	holder, alive, err = Query(dir, testRun)
	if err != nil || !alive || holder.PID != os.Getpid() {
		t.Errorf("taken: %+v, %v, %v", holder, alive, err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if _, alive, err := Query(dir, testRun); alive || err != nil {
		t.Errorf("released: %v, %v", alive, err)
	}
}

// TestQueryNeverDisturbs: an engine gets its lock while others ask about it all the time.
func TestQueryNeverDisturbs(t *testing.T) {
	dir := t.TempDir()
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
				if _, _, err := Query(dir, testRun); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	for range 300 {
		lock, err := LockRun(dir, testRun, Self("me", testRun))
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFingerprintLockWaitsAndSaysForWhom(t *testing.T) {
	dir := t.TempDir()
	c := startRole(t, "hold-fingerprint", dir, "fp1")
	waiting := make(chan Holder, 1)
	got := make(chan error, 1)
	go func() {
		lock, err := LockFingerprint(context.Background(), dir, "fp1", Self("me", "r2"), func(h Holder) { waiting <- h })
		if err == nil {
			err = lock.Release()
		}
		got <- err
	}()
	if h := <-waiting; h.PID != c.cmd.Process.Pid || h.Run != testRun {
		t.Errorf("waits for %+v", h)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if _, err := LockFingerprint(ctx, dir, "fp1", Self("me", "r3"), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a limit: %v", err)
	}
	other, err := LockFingerprint(context.Background(), dir, "fp2", Self("me", "r2"), func(Holder) { t.Error("waits for another fingerprint") })
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Release(); err != nil {
		t.Error(err)
	}
	c.kill(t)
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// TestFingerprintLockExcludes: many goroutines, one inside at a time, though the file is
// removed at each release.
func TestFingerprintLockExcludes(t *testing.T) {
	dir := t.TempDir()
	var inside, entered atomic.Int32
	errs := make(chan error)
	const n, rounds = 8, 25
	for range n {
		go func() {
			var err error
			for range rounds {
				var lock *FingerprintLock
				if lock, err = LockFingerprint(context.Background(), dir, "fp", Self("me", "r"), nil); err != nil {
					break
				}
				if inside.Add(1) > 1 {
					err = errors.New("two are inside")
				}
				entered.Add(1)
				inside.Add(-1)
				if err != nil {
					break
				}
				if err = lock.Release(); err != nil {
					break
				}
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if entered.Load() != n*rounds {
		t.Errorf("%d entered, want %d", entered.Load(), n*rounds)
	}
}

func TestCheckInChild(t *testing.T) {
	t.Setenv(roleVariable, "check-database")
	dir, _ := filledState(t)
	self := []string{os.Args[0]}
	if findings := check(t, dir, CheckOptions{Command: self}); countDamage(findings) > 0 {
		t.Errorf("sound: %+v", findings)
	}
	reasons, err := checkInChild(context.Background(), self, filepath.Join(dir, ".gitignore"))
	if err != nil || len(reasons) == 0 {
		t.Errorf("no database: %q, %v", reasons, err)
	}
	reasons, err = checkInChild(context.Background(), []string{"/bin/false"}, "x")
	if _, statErr := os.Stat("/bin/false"); statErr == nil && (err != nil || len(reasons) != 1) {
		t.Errorf("a child that dies: %q, %v", reasons, err)
	}
	t.Setenv(roleVariable, "never-end")
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := checkInChild(ctx, self, "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a child that does not end: %v", err)
	}
}

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

// waitUntilTaken returns when somebody holds the flock of the file.
func waitUntilTaken(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
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
		runtime.Gosched()
	}
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
