package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStagesComeInTheOrderOfThePlan(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	createRun(t, s, testRun)
	update(t, s, func(tx *Tx) error {
		for _, name := range []string{"zeta", "bake", "alpha", "train", "data"} {
			if err := tx.PutStage(StageRecord{Run: testRun, Instance: name, Stage: name, Epoch: 1, Outcome: Pending}); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, s, func(tx *Tx) error {
		list, err := tx.Stages(testRun)
		var names []string
		for _, r := range list {
			names = append(names, r.Instance)
		}
		if got := strings.Join(names, " "); got != "data train bake alpha zeta" {
			t.Errorf("order %q", got)
		}
		return err
	})
}

func TestFindRun(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	view(t, s, func(tx *Tx) error {
		if _, err := tx.FindRun("latest"); !errors.Is(err, ErrNoRun) {
			t.Errorf("latest of none: %v", err)
		}
		return nil
	})
	ids := []string{"20260101-000000-22abc", "20260101-000000-23abd", "20260102-000000-22xyz"}
	for _, id := range ids {
		createRun(t, s, id)
	}
	view(t, s, func(tx *Tx) error {
		for text, want := range map[string]string{
			"latest": ids[2], "": ids[2], "20260102": ids[2], "20260101-000000-23": ids[1], ids[0]: ids[0], "xyz": ids[2], "abd": ids[1],
		} {
			if got, err := tx.FindRun(text); got != want || err != nil {
				t.Errorf("%q: %q, %v", text, got, err)
			}
		}
		if _, err := tx.FindRun("2027"); !errors.Is(err, ErrNoRun) {
			t.Errorf("no such run: %v", err)
		}
		var many *AmbiguousError
		if _, err := tx.FindRun("20260101"); !errors.As(err, &many) || !slices.Equal(many.Candidates, []string{ids[1], ids[0]}) {
			t.Errorf("ambiguous: %v", err)
		}
		runs, err := tx.Runs()
		if err != nil || len(runs) != 3 || runs[0].ID != ids[2] || runs[2].ID != ids[0] {
			t.Errorf("runs, newest first: %v, %v", runs, err)
		}
		return nil
	})
}

func TestRunIDsSortByTime(t *testing.T) {
	start := time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)
	last := ""
	for i := range 2000 {
		id := NewRunID(start.Add(time.Duration(i) * 2 * time.Millisecond))
		if id <= last {
			t.Fatalf("%q after %q", id, last)
		}
		if FolderName(id) != id || id[0] < '0' || id[0] > '9' {
			t.Fatalf("%q is no folder's name that begins with a digit", id)
		}
		last = id
	}
}

// TestUnfinished: an attempt is found by its fingerprint, from any run, exactly while it
// has a checkpoint and has not succeeded.
func TestUnfinished(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	other := "20260103-000000-aaaaa"
	createRun(t, s, testRun)
	createRun(t, s, other)
	want := func(list ...string) {
		t.Helper()
		view(t, s, func(tx *Tx) error {
			got, err := tx.Unfinished("fp-train")
			var names []string
			for _, a := range got {
				names = append(names, fmt.Sprintf("%s/%d", a.Run, a.Number))
			}
			if !slices.Equal(names, list) {
				t.Errorf("unfinished %q, want %q", names, list)
			}
			return err
		})
	}
	// Number 256 has zero bytes in its key.
	first := newAttempt(testRun, "train", 256)
	put := func(a Attempt) {
		t.Helper()
		update(t, s, func(tx *Tx) error { return tx.putAttempt(a) })
	}
	put(first)
	want()
	first.Checkpoints = []CheckpointRecord{{Step: 10, Path: "p"}}
	put(first)
	want(testRun + "/256")
	second := newAttempt(other, "train", 1)
	second.Started = first.Started.Add(time.Hour)
	second.Checkpoints = first.Checkpoints
	put(second)
	want(other+"/1", testRun+"/256")
	second.Outcome = Succeeded
	put(second)
	want(testRun + "/256")
	first.Outcome = Interrupted
	put(first)
	want(testRun + "/256")
	first.Checkpoints = nil
	put(first)
	want()
}

func TestFileDigests(t *testing.T) {
	s := openStore(t, t.TempDir(), Options{})
	path := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(path, []byte("abc"), 0o666); err != nil {
		t.Fatal(err)
	}
	key := keyOf(t, path)
	changed := time.Unix(0, max(key.MTime, key.CTime))
	lookup := func(k FileKey) (sum string, ok bool) {
		t.Helper()
		view(t, s, func(tx *Tx) (err error) { sum, ok, err = tx.FileDigest(k); return err })
		return sum, ok
	}
	remember := func(hashed time.Time) {
		t.Helper()
		update(t, s, func(tx *Tx) error { return tx.PutFileDigest(key, "sum", hashed) })
	}
	remember(changed.Add(1999 * time.Millisecond))
	if _, ok := lookup(key); ok {
		t.Error("a file changed less than two seconds before hashing is believed")
	}
	remember(changed.Add(2 * time.Second))
	if sum, ok := lookup(key); !ok || sum != "sum" {
		t.Errorf("unchanged file: %q, %v", sum, ok)
	}
	for name, change := range map[string]func(*FileKey){
		"size":  func(k *FileKey) { k.Size++ },
		"mtime": func(k *FileKey) { k.MTime++ },
		"ctime": func(k *FileKey) { k.CTime++ },
		"inode": func(k *FileKey) { k.Inode++ },
		"path":  func(k *FileKey) { k.Path += "2" },
	} {
		other := key
		change(&other)
		if _, ok := lookup(other); ok {
			t.Errorf("believed although %s changed", name)
		}
	}
}

func keyOf(t *testing.T, path string) FileKey {
	t.Helper()
	var info fs.FileInfo
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return KeyOf(path, info)
}

func TestFolderName(t *testing.T) {
	for in, want := range map[string]string{
		"train":          "train",
		"train[r=8]":     "train[r=8]",
		"a b":            "a%20b",
		"../x":           "%2e.%2fx",
		"train[lr=2e-4]": "train[lr=2e-4]",
		"学":              "%e5%ad%a6",
	} {
		if got := FolderName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	upper, lower := FolderName("Train"), FolderName("train")
	if strings.EqualFold(upper, lower) {
		t.Errorf("%q and %q are one folder where case is folded", upper, lower)
	}
	long1, long2 := FolderName(strings.Repeat("x", 300)+"1"), FolderName(strings.Repeat("x", 300)+"2")
	if long1 == long2 || len(long1) > 200 {
		t.Errorf("long names: %q, %q", long1, long2)
	}
	for _, reserved := range []string{"con", "nul", "aux", "prn", "com1", "lpt9", "con.x"} {
		if got := FolderName(reserved); got == reserved {
			t.Errorf("%q is a device on Windows", got)
		}
	}
}

func TestProcessRecord_OlderNamesAreRead(t *testing.T) {
	want := ProcessRecord{PID: 7, Birth: "boot-99", Mark: "m"}
	for _, text := range []string{
		`{"pid":7,"start":0,"boot_id":"boot-99","name":"m"}`,
		`{"pid":7,"birth":"boot-99","mark":"m"}`,
	} {
		var got ProcessRecord
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s gives %+v, %v", text, got, err)
		}
	}
}

func TestReadRun_IsWhatATransactionReads(t *testing.T) {
	dir, _ := filledState(t)
	s := openStore(t, dir, Options{})
	const run = "20260102-030401-aaaaa"
	asked := ""
	got, err := s.ReadRun(t.Context(), run[:len(run)-2], func(id string) error { asked = id; return nil })
	if err != nil || asked != run {
		t.Fatalf("it asked about %q; %v", asked, err)
	}
	view(t, s, func(tx *Tx) error {
		r, err := tx.Run(run)
		stages, stagesErr := tx.Stages(run)
		attempts, attemptsErr := tx.RunAttempts(run)
		if want := (RunSnapshot{r, stages, attempts}); !reflect.DeepEqual(got, want) || len(stages) != 12 {
			t.Errorf("got\n%+v\nwant\n%+v", got, want)
		}
		return errors.Join(err, stagesErr, attemptsErr)
	})
	if _, err := s.ReadRun(t.Context(), "20990101-000000-aaaaa", nil); !errors.Is(err, ErrNoRun) {
		t.Errorf("a run that is not there: %v", err)
	}
}

func TestNewRunIDAfter_ClockSetBack(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 999_900_000, time.UTC)
	newest := ""
	for i := range 3000 {
		id := NewRunIDAfter(newest, now.Add(-time.Duration(i)*time.Hour))
		if newest != "" && id[:18] <= newest[:18] {
			t.Fatalf("%s after %s", id, newest)
		}
		newest = id
	}
	if id := NewRunIDAfter(newest, now.Add(24*time.Hour)); id[:8] != "20260103" {
		t.Errorf("with the clock set right again: %s", id)
	}
	if id := NewRunIDAfter("2026-imported-run", now); id[:15] != "20260102-030405" {
		t.Errorf("after an id that is not ours: %s", id)
	}
}
