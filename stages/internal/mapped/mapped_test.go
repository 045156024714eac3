package mapped

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	if err := os.WriteFile(path, want, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if f.Size() != int64(len(want)) {
		t.Errorf("size %d", f.Size())
	}
	for range 2 { // what was released comes back
		b, err := f.Bytes(3, f.Size()-5)
		if err != nil || !bytes.Equal(b, want[3:len(want)-2]) {
			t.Errorf("other bytes, %v", err)
		}
		f.Release(b)
	}
	if b, err := io.ReadAll(f.Reader()); err != nil || !bytes.Equal(b, want) {
		t.Errorf("the reader gives %d other bytes, %v", len(b), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpen_EmptyAndNoFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "empty")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil || f.Size() != 0 {
		t.Fatalf("%v", err)
	}
	f.Close()
	if _, err := Open(dir); err == nil {
		t.Error("a folder opens")
	}
	if _, err := Open(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}
