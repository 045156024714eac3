package engine_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSweep_KilledAtRandomTimes kills the engine, or one of its plugins, at random times, again and
// again, until the run gets through: 200 kills in a full test.
func TestSweep_KilledAtRandomTimes(t *testing.T) {
	t.Parallel()
	const seed = 1
	kills := 6
	if fullTest() {
		kills = 200
	}
	r := rand.New(rand.NewPCG(seed, 3))
	s := shapes[len(shapes)-1]
	start := time.Now()
	want, _ := s.uninterrupted(t)
	whole := time.Since(start) // on this machine, as busy as it is
	engines, stages := 0, 0
	for engines+stages < kills {
		dir := project(t, s.workflow())
		for range 4 {
			done := committed(t, open(t, dir))
			before := trace(t, dir)
			onEngine := r.IntN(2) == 0
			hit := killedSoon(t, dir, time.Duration(r.Float64()*float64(whole)), onEngine)
			if hit && onEngine {
				engines++
			} else if hit {
				stages++
			}
			noProcessLeft(t, dir)
			again := strings.TrimPrefix(trace(t, dir), before)
			for stage := range done {
				if strings.Contains(again, stage+" start") {
					t.Errorf("stage %s had been committed and ran again", stage)
				}
			}
			checkClean(t, dir)
		}
		if goesOn(t, "run", dir, nil, want); t.Failed() {
			t.Fatalf("after %d kills of engines and %d of stages, seed %d", engines, stages, seed)
		}
	}
	t.Logf("%d kills of engines and %d of stages, seed %d", engines, stages, seed)
	if fullTest() && min(engines, stages) < kills/5 {
		t.Error("too few of one kind")
	}
}

// killedSoon starts an engine and kills it, or a plugin of it, after a time; false when there was
// nothing to kill any more.
func killedSoon(t *testing.T, dir string, after time.Duration, onEngine bool) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "__engine", "run", dir)
	cmd.Dir = dir // where a stage that has nothing to do yet is found too
	cmd.Env = childEnviron()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // killed, or it came to its end: both are looked at below
	}()
	timer := time.NewTimer(after)
	defer timer.Stop()
	hit := false
	select {
	case <-timer.C:
		if hit = onEngine && cmd.Process.Kill() == nil; !onEngine {
			hit = killStage(cmd.Process.Pid, ended)
		}
		<-ended
	case <-ended:
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 && !(hit && (onEngine && code == -1 || code == 1 || code == 2)) {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	return hit
}

// killStage kills the next process that an engine has started; false when it ended before.
func killStage(engine int, ended <-chan struct{}) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		hit := false
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", engine)) // the pattern is good
		for _, list := range lists {
			text, err := os.ReadFile(list)
			if err != nil {
				continue // the thread is gone
			}
			for _, field := range strings.Fields(string(text)) {
				pid, err := strconv.Atoi(field)
				hit = err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil || hit
			}
		}
		if hit {
			return true
		}
		select {
		case <-ended:
			return false
		case <-tick.C:
		}
	}
}
