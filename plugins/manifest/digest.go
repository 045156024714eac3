package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Digest is the digest of a file or a folder.
func Digest(path string) (Sealed, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Sealed{}, err
	}
	if info.Mode().IsRegular() {
		sum, n, err := FileDigest(path)
		return Sealed{SHA256: sum, Bytes: n}, err
	}
	if !info.IsDir() {
		return Sealed{}, fmt.Errorf("digesting %q: neither a file nor a folder", path)
	}
	files, err := Files(path)
	if err != nil {
		return Sealed{}, fmt.Errorf("digesting %q: %w", path, err)
	}
	s := Sealed{Folder: true, SHA256: FolderDigest(files)}
	for _, f := range files {
		s.Bytes += f.Bytes
	}
	return s, nil
}

// Files lists and digests every file of a folder, sorted by path. A link is an error.
func Files(dir string) ([]File, error) {
	t, err := walk(dir, "")
	if err != nil {
		return nil, err
	}
	return t.files, digestFiles(dir, t.files)
}

// FolderDigest is the sha256 of the lines `sha256  path`, sorted by path, each ended by a
// newline, as sha256sum prints them.
func FolderDigest(files []File) string {
	sorted := slices.Clone(files)
	sortFiles(sorted)
	h := sha256.New()
	for _, f := range sorted {
		fmt.Fprintf(h, "%s  %s\n", f.SHA256, f.Path)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// FileDigest is the sha256 of a file's content, and its size.
func FileDigest(path string) (sum string, bytes int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	// A pipe in the middle would cost; 256 KiB keeps the system calls few.
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{f}, make([]byte, 256<<10))
	if err != nil {
		return "", 0, fmt.Errorf("digesting %q: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}

func sortFiles(files []File) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
}

// digestFiles fills in the digests and sizes of files below root, several at a time.
func digestFiles(root string, files []File) error {
	workers := min(len(files), runtime.GOMAXPROCS(0), 8)
	errs := make([]error, len(files))
	var next atomic.Int64
	work := func() {
		for i := next.Add(1) - 1; int(i) < len(files); i = next.Add(1) - 1 {
			f := &files[i]
			f.SHA256, f.Bytes, errs[i] = FileDigest(filepath.Join(root, filepath.FromSlash(f.Path)))
		}
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(work)
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
