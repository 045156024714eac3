package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCollect_BesideAnImportThatBegins: a folder that an import has made and not locked yet looks like
// a leftover. Until it is gone nobody gets its lock, and the import takes another folder.
func TestCollect_BesideAnImportThatBegins(t *testing.T) {
	dir := t.TempDir()
	parent := filepath.Join(dir, incomingName)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp(parent, testRun+"-")
	if err != nil {
		t.Fatal(err)
	}
	looked := false
	s := openStore(t, dir, Options{BeforeCommit: func(what string) error {
		if strings.HasPrefix(what, "remove "+filepath.Base(folder)) {
			looked = true
			lock, err := lockRunFile(filepath.Join(folder, runLockName), testRun, Self("so8t import", testRun))
			if !errors.Is(err, ErrHeld) {
				t.Errorf("the import holds a folder that is about to go: %v", err)
			}
			_ = lock.Release()
		}
		return nil
	}})
	other := openStore(t, dir, Options{})
	held, err := other.NewIncoming(testRun)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Collect(t.Context(), GCPolicy{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); !looked || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
	if _, err := os.Stat(held.Folder); err != nil {
		t.Errorf("the folder of an import at work: %v", err)
	}
	if err := held.Discard(); err != nil {
		t.Error(err)
	}
}
