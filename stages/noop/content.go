package noop

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// digest is the state of the work: each step hashes it on, so a resumed attempt must have
// read its checkpoint to end with the same bytes.
type digest [sha256.Size]byte

// start is the state before the first step.
func start(seed int64, inputs []string) (digest, error) {
	h := sha256.New()
	writeInt(h, seed)
	for _, path := range inputs {
		if err := hashPath(h, path); err != nil {
			return digest{}, err
		}
	}
	return digest(h.Sum(nil)), nil
}

// next is the state after step.
func (d digest) next(step int64) digest {
	h := sha256.New()
	h.Write(d[:])
	writeInt(h, step)
	return digest(h.Sum(nil))
}

// write stretches d to n bytes.
func (d digest) write(w io.Writer, n int64) error {
	_, err := io.CopyN(w, rand.NewChaCha8(d), n)
	return err
}

// hashPath adds the content of a file, or of a folder's files in order with their relative names.
func hashPath(w io.Writer, root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if path != root {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(w, filepath.ToSlash(rel)+"\x00"); err != nil {
				return err
			}
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		n, err := io.Copy(w, f)
		writeInt(w, n)
		return err
	})
}

// writeInt adds n to a hash, which never fails.
func writeInt(w io.Writer, n int64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	_, _ = w.Write(b[:])
}
