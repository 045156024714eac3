package plugins

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestCopyFile(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := os.WriteFile(from, []byte("content"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := CopyFile(t.Context(), from, to, func(m fs.FileMode) fs.FileMode { return 0o600 | m&0o100 }); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(to)
	if err != nil || string(text) != "content" {
		t.Errorf("copied %q, %v", text, err)
	}
	if err := CopyFile(t.Context(), from, to, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file that is there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := CopyFile(ctx, from, filepath.Join(dir, "small"), nil); err != nil {
		t.Errorf("a small one, cancelled: %v", err)
	}
	defer func(n int64) { copyAtOnce = n }(copyAtOnce)
	copyAtOnce = 3
	if err := CopyFile(ctx, from, filepath.Join(dir, "large"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a large one, cancelled: %v", err)
	}
}
