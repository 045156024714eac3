package base

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// linkAbove is the size in bytes above which a file is passed on as a hard link: below it a
// copy costs nothing and an edit of the original cannot reach the artifact; above it the
// disk would be paid twice for a file that nobody edits.
const linkAbove = 64 << 20

// passOn puts the files of a model folder into another one. Folders inside it and hidden
// files stay behind.
func passOn(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("passing model on: %w", err)
	}
	for _, e := range entries {
		if e.Name()[0] == '.' {
			continue
		}
		// The files of a download may be links into a cache: what they point to counts.
		src, err := filepath.EvalSymlinks(filepath.Join(from, e.Name()))
		var info os.FileInfo
		if err == nil {
			info, err = os.Stat(src)
		}
		if err == nil && info.Mode().IsRegular() {
			err = passFile(src, filepath.Join(to, e.Name()), info.Size())
		}
		if err != nil {
			return fmt.Errorf("passing model on: %w", err)
		}
	}
	return nil
}

func passFile(src, dst string, size int64) error {
	if size > linkAbove && os.Link(src, dst) == nil {
		return nil
	}
	r, err := os.Open(src)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(dst)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	if closing := w.Close(); err == nil {
		err = closing
	}
	return err
}
