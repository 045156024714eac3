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
	"strconv"
	"strings"
	"testing"
	"time"
)

// These tests start the test binary again in a role, because locks, kills and damage are
// between processes.

const roleVariable = "SO8T_STATE_TEST_ROLE"

var roles = map[string]func(args []string) error{
	"read":             roleRead,
	"write":            roleWrite,
	"crash-at":         roleCrashAt,
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

// roleCrashAt does an engine's transactions, from wherever the state is, and kills itself
// just before its durable step number args[1].
func roleCrashAt(args []string) error {
	at, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	steps := 0
	s, err := Open(args[0], Options{BeforeCommit: func(string) error {
		if steps++; steps == at {
			self, err := os.FindProcess(os.Getpid())
			if err != nil {
				return err
			}
			if err := self.Kill(); err != nil {
				return err
			}
			return waitForKill()
		}
		return nil
	}})
	if err != nil {
		return err
	}
	return errors.Join(workThrough(s), s.Close())
}

// workThrough brings the test's run to its end: three stages, an attempt each.
func workThrough(s *Store) error {
	ctx := context.Background()
	var run Run
	err := s.Update(ctx, func(tx *Tx) (err error) {
		if run, err = tx.TakeOver(testRun); errors.Is(err, ErrNoRun) {
			var plan RunPlan
			run, plan = newRun(testRun)
			err = tx.CreateRun(run, plan)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, instance := range []string{"data", "train", "bake"} {
		a := newAttempt(testRun, instance, 1)
		a.Epoch = run.Epoch
		stage := StageRecord{Run: testRun, Instance: instance, Stage: instance, Epoch: run.Epoch, Outcome: Running}
		done := false
		err := s.Update(ctx, func(tx *Tx) error {
			if old, err := tx.Stage(testRun, instance); err == nil && old.Outcome == Succeeded {
				done = true
				return nil
			}
			return errors.Join(tx.PutAttempt(a), tx.PutStage(stage))
		})
		if err != nil || done {
			if err != nil {
				return err
			}
			continue
		}
		a.Outcome, stage.Outcome = Succeeded, Succeeded
		entry := CacheEntry{Fingerprint: a.Fingerprint, Run: testRun, Instance: instance, Attempt: 1, Epoch: run.Epoch, Time: testTime}
		if err := os.MkdirAll(AttemptDir(s.Dir(), testRun, instance, 1), 0o777); err != nil {
			return err
		}
		err = s.Update(ctx, func(tx *Tx) error {
			return errors.Join(tx.PutAttempt(a), tx.PutStage(stage), tx.PutCache(entry))
		})
		if err != nil {
			return err
		}
	}
	run.State = RunSucceeded
	return s.Update(ctx, func(tx *Tx) error { return tx.PutRun(run) })
}

// TestCrashAtEachStep: killed before each of its durable steps, an engine leaves a state
// without damage from which the next one comes to the same end, and the journal says the
// same as the database then.
func TestCrashAtEachStep(t *testing.T) {
	const steps = 2 * (1 + 3*2 + 1) // a journal and a commit for each transaction
	for at := 1; at <= steps; at++ {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], dir, strconv.Itoa(at))
		cmd.Env = append(os.Environ(), roleVariable+"=crash-at")
		if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.ExitCode() == 1 {
			t.Fatalf("step %d: the child was not killed: %v\n%s", at, err, out)
		}
		findings := check(t, dir, CheckOptions{})
		if countDamage(findings) > 0 {
			t.Errorf("killed before step %d: %+v", at, findings)
		}
		s := openStore(t, dir, Options{})
		if err := workThrough(s); err != nil {
			t.Fatalf("killed before step %d, then: %v", at, err)
		}
		view(t, s, func(tx *Tx) error {
			stages, err := tx.Stages(testRun)
			if r := mustRun(t, tx); r.State != RunSucceeded || len(stages) != 3 {
				t.Errorf("killed before step %d: %s with %d stages at the end", at, r.State, len(stages))
			}
			return err
		})
		if findings := check(t, dir, CheckOptions{}); len(findings) > 0 {
			t.Errorf("killed before step %d, at the end: %+v", at, findings)
		}
		before, err := contentOf(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := withStore(dir, func(s *Store) error { return s.rebuild(context.Background()) }); err != nil {
			t.Fatal(err)
		}
		if after, err := contentOf(dir); err != nil || string(after) != string(before) {
			t.Errorf("killed before step %d: the journal says\n%s\nthe database\n%s, %v", at, after, before, err)
		}
	}
	// One step further there is nothing left to kill.
	if err := roleCrashAt([]string{t.TempDir(), strconv.Itoa(steps + 1)}); err != nil {
		t.Error(err)
	}
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
	for round := range 8 {
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
	if err := withStore(dir, func(s *Store) error { return s.rebuild(context.Background()) }); err != nil {
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
