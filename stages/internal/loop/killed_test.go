package loop

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// childEnv makes the test binary the process that is killed: "dir dieAt from".
const childEnv = "SO8T_LOOP_CHILD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		if err := trainInChild(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const childSteps = 12

// trainInChild runs the toy in dir, publishing a checkpoint after every step by rename, and
// kills its own process in the middle of writing the one of step dieAt.
func trainInChild(spec string) error {
	var dir, from string
	var dieAt int64
	if _, err := fmt.Sscanf(spec, "%q %d %q", &dir, &dieAt, &from); err != nil {
		return err
	}
	m, err := makeToy(0.2)
	if err != nil {
		return err
	}
	r := &Run{
		Backend: m.be, Model: m, Train: toyRows(11, 20), Validation: toyRows(12, 7), Settings: toySettings(childSteps),
		Curve: filepath.Join(dir, curveFile), Metrics: filepath.Join(dir, metricsFile), Resume: from,
		Every: time.Second, Now: ticking(),
	}
	r.Save = func(step int64, write func(string) error) error {
		half, whole := filepath.Join(dir, "half"), filepath.Join(dir, "checkpoints", strconv.FormatInt(step, 10))
		if err := errors.Join(os.RemoveAll(half), os.MkdirAll(filepath.Dir(whole), 0o755), os.Mkdir(half, 0o755)); err != nil {
			return err
		}
		if err := write(half); err != nil {
			return err
		}
		if step == dieAt {
			self, err := os.FindProcess(os.Getpid())
			if err != nil {
				return err
			}
			return errors.Join(self.Kill(), errors.New("still alive"))
		}
		return os.Rename(half, whole)
	}
	if _, err := r.Do(context.Background()); err != nil {
		return err
	}
	var b []byte
	for _, v := range m.values() {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return os.WriteFile(filepath.Join(dir, "values"), b, 0o644)
}

func TestRun_ProcessKilledWhileSaving_ContinuesBitIdentical(t *testing.T) {
	child := func(dir string, dieAt int64, from string) error {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), fmt.Sprintf("%s=%q %d %q", childEnv, dir, dieAt, from))
		out, err := c.CombinedOutput()
		if err != nil && dieAt < 0 {
			t.Fatalf("%v\n%s", err, out)
		}
		return err
	}
	whole := t.TempDir()
	if err := child(whole, -1, ""); err != nil {
		t.Fatal(err)
	}
	for _, dieAt := range []int64{1, 6, 11} {
		dir, from := t.TempDir(), ""
		if err := child(dir, dieAt, ""); err == nil {
			t.Fatalf("the child survived step %d", dieAt)
		}
		if dieAt > 1 {
			from = filepath.Join(dir, "checkpoints", strconv.FormatInt(dieAt-1, 10))
		}
		again := t.TempDir() // a new attempt has a folder of its own
		if err := child(again, -1, from); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{curveFile, "values"} {
			if mustRead(t, filepath.Join(again, f)) != mustRead(t, filepath.Join(whole, f)) {
				t.Errorf("killed at step %d and continued: %s differs", dieAt, f)
			}
		}
	}
}
