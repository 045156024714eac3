package state

import (
	"fmt"
	"io/fs"
	"time"
)

// FileKey is what must be unchanged for a remembered digest to be believed.
type FileKey struct {
	Path  string `json:"path"` // absolute
	Size  int64  `json:"size"`
	MTime int64  `json:"mtime"` // nanoseconds since 1970
	CTime int64  `json:"ctime"` // nanoseconds since 1970; 0 where the system has none
	Inode uint64 `json:"inode"`
}

type fileDigest struct {
	Key    FileKey   `json:"key"`
	SHA256 string    `json:"sha256"`
	Hashed time.Time `json:"hashed"`
}

// settleTime: a file changed so shortly before it was hashed may have been changed again
// within the resolution of its times, so its digest is not remembered.
const settleTime = 2 * time.Second

// KeyOf makes the key of the file at path; info is its Lstat or Stat.
func KeyOf(path string, info fs.FileInfo) FileKey {
	ctime, inode := changeTime(info)
	return FileKey{Path: path, Size: info.Size(), MTime: info.ModTime().UnixNano(), CTime: ctime, Inode: inode}
}

// FileDigest returns the remembered sha256 (hex) of an unchanged file.
func (t *Tx) FileDigest(k FileKey) (sum string, ok bool, err error) {
	key, err := textKey(k.Path)
	if err != nil {
		return "", false, err
	}
	var d fileDigest
	found, err := t.get(bucketFiles, key, &d)
	if err != nil || !found || d.Key != k || !settled(k, d.Hashed) {
		return "", false, err
	}
	return d.SHA256, true, nil
}

// PutFileDigest remembers the sha256 of a file. k is its key taken before hashing began,
// hashed the time hashing began; a file that changed less than two seconds before that
// is not remembered.
func (t *Tx) PutFileDigest(k FileKey, sum string, hashed time.Time) error {
	if !settled(k, hashed) {
		return nil
	}
	key, err := textKey(k.Path)
	if err != nil {
		return err
	}
	if err := t.put(bucketFiles, key, fileDigest{Key: k, SHA256: sum, Hashed: hashed}); err != nil {
		return fmt.Errorf("remembering the digest of %q: %w", k.Path, err)
	}
	if t.what == "" {
		t.what = "digest"
	}
	return nil
}

func settled(k FileKey, hashed time.Time) bool {
	return hashed.UnixNano()-max(k.MTime, k.CTime) >= int64(settleTime)
}
