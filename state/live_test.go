package state

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLiveIsThrottledAndEndsWithTheLastChange(t *testing.T) {
	dir := t.TempDir()
	if l, err := ReadLive(dir, testRun); err != nil || l.Stages != nil {
		t.Errorf("without a file: %+v, %v", l, err)
	}
	if err := os.MkdirAll(RunDir(dir, testRun), 0o777); err != nil {
		t.Fatal(err)
	}
	w := NewLiveWriter(dir, testRun, 3)
	start := time.Now()
	var writes []time.Time
	n := int64(0)
	for len(writes) < 3 && time.Since(start) < 20*time.Second {
		n++
		w.Set("train", LiveStage{Attempt: 1, Done: n, Total: 9, Unit: "step"})
		l, err := ReadLive(dir, testRun)
		if err != nil {
			t.Fatal(err)
		}
		if len(writes) == 0 || !l.Time.Equal(writes[len(writes)-1]) {
			writes = append(writes, l.Time)
		}
	}
	if len(writes) < 3 || writes[2].Sub(writes[0]) < 2*liveInterval {
		t.Errorf("written at %v", writes)
	}
	w.Set("bake", LiveStage{Attempt: 1})
	w.Remove("bake")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := ReadLive(dir, testRun)
	if err != nil || l.Epoch != 3 || len(l.Stages) != 1 || l.Stages["train"].Done != n {
		t.Errorf("at the end, of %d: %+v, %v", n, l, err)
	}
	if err := os.WriteFile(filepath.Join(RunDir(dir, testRun), liveName), []byte("\x00\x00"), 0o666); err != nil {
		t.Fatal(err)
	}
	if l, err := ReadLive(dir, testRun); err != nil || l.Stages != nil {
		t.Errorf("rubbish: %+v, %v", l, err)
	}
}

func TestLiveSaysWhatItCannotWrite(t *testing.T) {
	w := NewLiveWriter(t.TempDir(), testRun, 1)
	w.Set("train", LiveStage{})
	if err := w.Close(); err == nil {
		t.Error("no error without the run's folder")
	}
}

// TestHolderSurvivesAnOverwrite: the identity in a lock is replaced by a shorter one
// without a moment at which it reads as neither.
func TestHolderSurvivesAnOverwrite(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, h := range []Holder{{PID: 1, Command: "a very long command line"}, {PID: 22}} {
		doc, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(append(doc, '\n'), 0); err != nil {
			t.Fatal(err)
		}
		if got := readHolder(f); got != h {
			t.Errorf("before the cut: %+v, want %+v", got, h)
		}
		if err := writeHolder(f, h); err != nil {
			t.Fatal(err)
		}
		if got := readHolder(f); got != h {
			t.Errorf("%+v, want %+v", got, h)
		}
	}
}
