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
	writes, last := 0, time.Time{}
	n := int64(0)
	for time.Since(start) < 600*time.Millisecond {
		n++
		w.Set("train", LiveStage{Attempt: 1, Done: n, Total: 9, Unit: "step"})
		if n == 1 || n%50 == 0 {
			l, err := ReadLive(dir, testRun)
			if err != nil {
				t.Fatal(err)
			}
			if !l.Time.Equal(last) {
				writes, last = writes+1, l.Time
			}
		}
	}
	if writes < 2 || writes > 4 {
		t.Errorf("%d writes in 0.6 s", writes)
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
