package train

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
)

// childEnv makes the test binary a process that runs one attempt: the rest of its life is
// this JSON of a child.
const childEnv = "SO8T_TRAIN_CHILD"

// child is one attempt in a process of its own. It publishes checkpoints by rename, says
// "step N" on stdout after each step, and stops when its stdin has a line.
type child struct {
	With json.RawMessage
	Dir  string
	// Step of the checkpoint to go on from, 0 for none.
	Step int64
	// Hold is the step after which it waits for its end, so that it cannot run away from a
	// slow test; 0 for none.
	Hold int64
}

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		if err := childAttempt(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func childAttempt(spec string) error {
	var c child
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		return err
	}
	stop := make(chan struct{})
	go func() {
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err == nil {
			close(stop)
		}
	}()
	a := &plugins.Attempt{Stage: "train", Run: "r", Number: 1, With: c.With, OutputDir: filepath.Join(c.Dir, "out"), Stop: stop}
	if c.Step > 0 {
		a.Resume = &plugins.Checkpoint{Step: c.Step, Path: checkpointPath(c.Dir, c.Step)}
	}
	a.Publish = func(_ context.Context, p plugins.Checkpoint, write func(string) error) (plugins.Checkpoint, error) {
		half := filepath.Join(c.Dir, "half")
		p.Path = checkpointPath(c.Dir, p.Step)
		for _, step := range []func() error{
			func() error { return os.RemoveAll(half) },
			func() error { return os.MkdirAll(half, 0o755) },
			func() error { return write(half) },
			func() error { return os.MkdirAll(filepath.Dir(p.Path), 0o755) },
			func() error { return os.RemoveAll(p.Path) }, // a stop saves the last step again
			func() error { return os.Rename(half, p.Path) },
		} {
			if err := step(); err != nil {
				return p, err
			}
		}
		return p, nil
	}
	a.Emit = func(e plugins.Event) {
		if p, ok := e.(plugins.Progress); ok {
			fmt.Println("step", p.Done)
			if c.Hold > 0 && p.Done >= c.Hold {
				<-stop
			}
		}
	}
	_, err := Stage{}.Run(context.Background(), a)
	return err
}

func checkpointPath(dir string, step int64) string {
	return filepath.Join(dir, "checkpoints", strconv.FormatInt(step, 10))
}

// newestCheckpoint is the step of the newest published one, 0 when there is none.
func newestCheckpoint(t *testing.T, dir string) (newest int64) {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(dir, "checkpoints"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range list {
		step, err := strconv.ParseInt(e.Name(), 10, 64)
		must(t, err)
		newest = max(newest, step)
	}
	return newest
}

// attempt runs the child until it says the step, then ends it: at once, or by asking. It
// reports whether the attempt had finished before.
func (c child) attempt(t *testing.T, until int64, ask bool) (finished bool) {
	t.Helper()
	must(t, os.RemoveAll(filepath.Join(c.Dir, "out")))
	must(t, os.MkdirAll(filepath.Join(c.Dir, "out"), 0o755))
	spec, err := json.Marshal(c)
	must(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(spec))
	var errs strings.Builder
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines, ended := bufio.NewScanner(out), false
	for lines.Scan() {
		if ended || lines.Text() != fmt.Sprint("step ", until) {
			continue
		}
		ended = true
		if ask {
			_, err = io.WriteString(in, "stop\n")
		} else {
			err = cmd.Process.Kill()
		}
		must(t, err)
	}
	err = cmd.Wait()
	if err != nil && !ended {
		t.Fatalf("%v\n%s", err, &errs)
	}
	return err == nil
}

// One run, killed at random moments (in a step, while a checkpoint is being written, while
// files are read) and asked to stop at others, each time continued: adapter and curve are the
// bytes of a run that was left alone. SO8T_KILLS says how often.
func TestRun_KilledAtRandomMoments_SameBytes(t *testing.T) {
	kills := 10
	if s := os.Getenv("SO8T_KILLS"); s != "" {
		var err error
		kills, err = strconv.Atoi(s)
		must(t, err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := project(t, 12)
	const stride = 6 // an attempt gets on by up to stride+2 steps
	more := map[string]any{"steps": (stride + 2) * (kills + 1), "batch": 2, "accumulation": 2, "eval": map[string]any{"every": 5}}
	whole := run(t, dir, more)

	c := child{With: with(t, dir, more), Dir: t.TempDir()}
	for i := range kills {
		c.Step = newestCheckpoint(t, c.Dir)
		until := c.Step + 1 + rng.Int64N(stride)
		c.Hold = until + rng.Int64N(3)
		if c.attempt(t, until, i%5 == 4) {
			t.Fatalf("attempt %d, from step %d, was over before it could be ended", i, c.Step)
		}
	}
	c.Step, c.Hold = newestCheckpoint(t, c.Dir), 0
	if c.Step == 0 {
		t.Fatal("no attempt left a checkpoint")
	}
	if !c.attempt(t, -1, false) {
		t.Fatal("the last attempt did not finish")
	}
	want, got := folderBytes(t, whole), folderBytes(t, filepath.Join(c.Dir, "out"))
	for name, b := range want {
		if got[name] != b {
			t.Errorf("%s differs from that of the run that was left alone", name)
		}
	}
}
