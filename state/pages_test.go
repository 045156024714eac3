package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sealMeta makes the checksum of a meta page right again, so that what it says is believed.
func sealMeta(page []byte) {
	m := page[pageHeader:]
	h := fnv.New64a()
	_, _ = h.Write(m[:56])
	binary.NativeEndian.PutUint64(m[56:], h.Sum64())
}

// FuzzPages changes some words of a database, keeps its meta pages valid, and reads it:
// the process must live, and what is read must be right or *DamagedError. A meta page that
// was edited may lead to what an earlier transaction left, which is right in its own way.
func FuzzPages(f *testing.F) {
	dir, content := filledState(f)
	whole, err := os.ReadFile(filepath.Join(dir, databaseName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{0, 0, 0, 16, 0, 1})
	f.Add([]byte{0, 0, 32, 8, 0, 1, 0, 0, 32, 10, 255, 255})
	f.Fuzz(func(t *testing.T, edits []byte) {
		b := bytes.Clone(whole)
		metaEdited := false
		for ; len(edits) >= 6; edits = edits[6:] {
			at := int(binary.BigEndian.Uint32(edits)) % (len(b) - 1)
			copy(b[at:], edits[4:6])
			metaEdited = metaEdited || at < 8192
		}
		sealMeta(b)
		sealMeta(b[4096:])
		broken := t.TempDir()
		if err := os.WriteFile(filepath.Join(broken, databaseName), b, 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := contentOf(broken)
		var damaged *DamagedError
		var tooNew *TooNewError
		switch {
		case err != nil && !errors.As(err, &damaged) && !errors.As(err, &tooNew):
			t.Errorf("reading: %v", err)
		case err == nil && !metaEdited && !bytes.Equal(got, content):
			t.Errorf("other records without an error:\n%s", got)
		}
		survives(t, "fuzzed", broken, got)
	})
}

// TestPageGuard: the ways in which pages can lead bbolt astray, each refused with its
// reason before bbolt sees it.
func TestPageGuard(t *testing.T) {
	dir, _ := filledState(t)
	whole, err := os.ReadFile(filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	meta := whole[:4096]
	if binary.NativeEndian.Uint64(whole[4096+pageHeader+48:]) > binary.NativeEndian.Uint64(meta[pageHeader+48:]) {
		meta = whole[4096:8192]
	}
	newest := bytes.Index(whole, meta)
	rootPage := int(binary.NativeEndian.Uint64(meta[pageHeader+16:])) * 4096
	freePage := int(binary.NativeEndian.Uint64(meta[pageHeader+32:])) * 4096
	branch := usedBranch(t, dir, uint64(rootPage/4096), int64(len(whole)))
	put64, put32, put16 := binary.NativeEndian.PutUint64, binary.NativeEndian.PutUint32, binary.NativeEndian.PutUint16
	for name, c := range map[string]struct {
		edit func(b []byte)
		want string
	}{
		"root beyond the end":    {func(b []byte) { put64(b[newest+pageHeader+16:], 1<<40) }, "is outside"},
		"root is a meta page":    {func(b []byte) { put64(b[newest+pageHeader+16:], 1) }, "is outside"},
		"root is a free list":    {func(b []byte) { put64(b[newest+pageHeader+16:], uint64(freePage/4096)) }, "has type"},
		"high-water mark":        {func(b []byte) { put64(b[newest+pageHeader+40:], 3) }, "is outside"},
		"page of another number": {func(b []byte) { put64(b[rootPage:], 99) }, "calls itself 99"},
		"huge overflow":          {func(b []byte) { put32(b[rootPage+12:], 1<<31) }, "reaches beyond"},
		"too many entries":       {func(b []byte) { put16(b[rootPage+10:], 0xFFFF) }, "entries"},
		"entry out of page":      {func(b []byte) { put32(b[rootPage+pageHeader+4:], 1<<30) }, "reaches beyond it"},
		"keys out of order":      {func(b []byte) { put32(b[rootPage+pageHeader+elementSize+8:], 0) }, "out of order"},
		"child is itself":        {func(b []byte) { put64(b[branch+pageHeader+8:], uint64(branch/4096)) }, "used twice"},
		"two children are one": {func(b []byte) {
			copy(b[branch+pageHeader+8:branch+pageHeader+16], b[branch+pageHeader+elementSize+8:branch+pageHeader+elementSize+16])
		}, ""},
		"free list is a leaf":  {func(b []byte) { put16(b[freePage+8:], flagLeaf) }, "free list"},
		"free list is endless": {func(b []byte) { put16(b[freePage+10:], 0xFFFE) }, "do not fit"},
		"free page in use":     {func(b []byte) { put64(b[freePage+pageHeader:], uint64(rootPage/4096)) }, "free and used"},
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(whole)
			c.edit(b)
			sealMeta(b[newest : newest+4096])
			path := filepath.Join(t.TempDir(), databaseName)
			if err := os.WriteFile(path, b, 0o666); err != nil {
				t.Fatal(err)
			}
			err := verifyPages(path)
			var damaged *DamagedError
			if !errors.As(err, &damaged) || !strings.Contains(damaged.Reason, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	// One meta page torn by a power cut is no damage: the other one holds.
	b := bytes.Clone(whole)
	clear(b[newest+pageHeader : newest+4096])
	path := filepath.Join(t.TempDir(), databaseName)
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := verifyPages(path); err != nil {
		t.Errorf("one torn meta page: %v", err)
	}
}

// usedBranch returns where a branch page of the database's tree lies.
func usedBranch(t *testing.T, dir string, root uint64, size int64) int {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := newPageWalk(f, size, 4096, uint64(size/4096))
	if err := w.tree(root, nil, nil, 0); err != nil {
		t.Fatal(err)
	}
	for id, used := range w.seen {
		if !used {
			continue
		}
		var head [pageHeader]byte
		if _, err := f.ReadAt(head[:], int64(id)*4096); err != nil {
			t.Fatal(err)
		}
		if binary.NativeEndian.Uint64(head[:]) == uint64(id) && binary.NativeEndian.Uint16(head[8:]) == flagBranch {
			return id * 4096
		}
	}
	t.Fatal("the database of the test has no branch page")
	return 0
}
