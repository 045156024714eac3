package state

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestRepair_LostLineAndDatabase: whichever line of a journal is lost together with the database,
// repairing ends with records that agree, and with the other runs as they were.
func TestRepair_LostLineAndDatabase(t *testing.T) {
	const run = "20260102-030401-aaaaa"
	dir, _ := filledState(t)
	whole, err := os.ReadFile(JournalPath(dir, run))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n"))
	step := 1
	if testing.Short() {
		step = 5
	}
	for i := 0; i < len(lines); i += step {
		dir, _ := filledState(t)
		left := bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil)
		err := errors.Join(os.WriteFile(JournalPath(dir, run), append(left, '\n'), 0o666), os.Remove(filepath.Join(dir, databaseName)))
		if err != nil {
			t.Fatal(err)
		}
		findings := check(t, dir, CheckOptions{})
		for range 3 {
			if _, err := repair(dir, findings); err != nil {
				t.Fatalf("without line %d: %v", i, err)
			}
			if findings = check(t, dir, CheckOptions{}); countDamage(findings) == 0 {
				break
			}
		}
		if countDamage(findings) > 0 {
			t.Errorf("without line %d: %+v", i, findings)
		}
		err = withStore(dir, func(s *Store) error {
			return s.View(context.Background(), func(tx *Tx) error {
				runs, err := tx.Runs()
				if len(runs) != 3 {
					t.Errorf("without line %d: %d runs", i, len(runs))
				}
				return err
			})
		})
		if err != nil {
			t.Errorf("without line %d: %v", i, err)
		}
	}
}

// TestCheck_DatabaseAndJournalDisagree: a database that is older than the journals by more than the
// one transaction that a crash can cut off is told, and rebuilt.
func TestCheck_DatabaseAndJournalDisagree(t *testing.T) {
	const run = "20260102-030402-aaaaa"
	for behind, want := range []string{"", "", CodeDatabaseBehind, CodeDatabaseBehind} {
		dir, _ := filledState(t)
		old, err := os.ReadFile(filepath.Join(dir, databaseName))
		if err != nil {
			t.Fatal(err)
		}
		s := openStore(t, dir, Options{})
		for n := range behind {
			update(t, s, func(tx *Tx) error {
				return tx.PutStage(StageRecord{Run: run, Instance: "stage03", Stage: "stage03", Epoch: 1, Outcome: Running, Attempts: 1, Reason: string(rune('a' + n))})
			})
		}
		content := contentNow(t, dir)
		if err := os.WriteFile(filepath.Join(dir, databaseName), old, 0o666); err != nil {
			t.Fatal(err)
		}
		findings := check(t, dir, CheckOptions{})
		found := ""
		for _, f := range findings {
			if f.Severity == Damage {
				found = f.Code
			}
		}
		if found != want {
			t.Errorf("%d transactions behind: found %q, want %q", behind, found, want)
		}
		if want == "" {
			continue
		}
		if _, err := repair(dir, findings); err != nil {
			t.Fatal(err)
		}
		if got := contentNow(t, dir); !bytes.Equal(got, content) {
			t.Errorf("%d transactions behind: repaired to\n%s\nwant\n%s", behind, got, content)
		}
	}
}

func contentNow(t *testing.T, dir string) []byte {
	t.Helper()
	content, err := contentOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestUpdate_GivenUp_LeavesNoLine: what was not committed does not stand in the journal.
func TestUpdate_GivenUp_LeavesNoLine(t *testing.T) {
	dir := t.TempDir()
	refuse := false
	broken := errors.New("no")
	s := openStore(t, dir, Options{BeforeCommit: func(what string) error {
		if refuse && bytes.HasPrefix([]byte(what), []byte("commit")) {
			return broken
		}
		return nil
	}})
	createRun(t, s, testRun)
	before, err := os.ReadFile(JournalPath(dir, testRun))
	if err != nil {
		t.Fatal(err)
	}
	refuse = true
	err = s.Update(context.Background(), func(tx *Tx) error {
		return tx.PutStage(StageRecord{Run: testRun, Instance: "a", Stage: "a", Epoch: 1, Outcome: Pending})
	})
	after, readErr := os.ReadFile(JournalPath(dir, testRun))
	if !errors.Is(err, broken) || readErr != nil || !bytes.Equal(before, after) {
		t.Errorf("%v, %v; the journal was\n%s\nand is\n%s", err, readErr, before, after)
	}
}
