package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
)

// This file reads bbolt's pages before bbolt does. bbolt trusts what it maps: a page
// that names itself as its child, an offset beyond the file or a broken free list end in
// a stack overflow, a fault or an endless loop, none of which a caller can catch. The
// format is bbolt's version 2: pages of the size the meta page names, each with a header
// of 16 bytes {id u64, flags u16, count u16, overflow u32} in native byte order.

const (
	pageHeader     = 16
	elementSize    = 16
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	flagBranch     = 0x01
	flagLeaf       = 0x02
	flagFreelist   = 0x10
	bucketLeaf     = 0x01 // flag of a leaf element whose value is a bucket
	bucketHeader   = 16   // root u64, sequence u64
	noFreelist     = ^uint64(0)
	metaBytes      = 64
	maxDepth       = 32
	maxPageSizeLog = 14 // bbolt tries page sizes of 1 KiB << 0…14
)

// boltMeta is a meta page's content.
type boltMeta struct {
	pageSize uint32
	root     uint64
	freelist uint64
	high     uint64 // pages have numbers below
	tx       uint64
}

// pageWalk goes through all pages that a database uses.
type pageWalk struct {
	file     *os.File
	size     int64
	pageSize int64
	high     uint64
	seen     []bool   // by page; as long as the file
	buffers  [][]byte // by depth: a page is needed until all below it are done
}

func newPageWalk(f *os.File, size, pageSize int64, high uint64) *pageWalk {
	return &pageWalk{file: f, size: size, pageSize: pageSize, high: high, seen: make([]bool, size/pageSize)}
}

// guard looks through the pages once for each store; the caller holds the state's lock.
func (s *Store) guard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.guarded {
		return nil
	}
	if err := verifyPages(s.databasePath()); err != nil {
		return err
	}
	s.guarded = true
	return nil
}

// verifyPages returns *DamagedError when bbolt should not open the file at path.
func verifyPages(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &DamagedError{Path: path, Reason: "it is missing"}
	}
	if err != nil {
		return fmt.Errorf("looking at the database: %w", err)
	}
	if !info.Mode().IsRegular() {
		return &DamagedError{Path: path, Reason: "it is not a regular file"}
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("looking at the database: %w", err)
	}
	defer f.Close()
	if err := walkPages(f, info.Size()); err != nil {
		return &DamagedError{Path: path, Reason: err.Error()}
	}
	return nil
}

func walkPages(f *os.File, size int64) error {
	if size == 0 {
		return errors.New("it is empty")
	}
	meta, err := newestMeta(f, size)
	if err != nil {
		return err
	}
	w := newPageWalk(f, size, int64(meta.pageSize), meta.high)
	if err := w.tree(meta.root, nil, nil, 0); err != nil {
		return err
	}
	return w.freelist(meta.freelist)
}

// newestMeta returns the meta page bbolt will use: the valid one with the higher
// transaction. One torn by a power cut is normal; the other one is whole then.
func newestMeta(f *os.File, size int64) (boltMeta, error) {
	first, ok0 := readMeta(f, 0)
	var second boltMeta
	ok1 := false
	if ok0 {
		second, ok1 = readMeta(f, int64(first.pageSize))
	} else {
		for i := 0; i <= maxPageSizeLog && !ok1; i++ {
			second, ok1 = readMeta(f, 1024<<i)
			ok1 = ok1 && second.pageSize == 1024<<i
		}
	}
	switch {
	case !ok0 && !ok1:
		return boltMeta{}, errors.New("neither of its two meta pages is valid")
	case !ok0 || ok1 && second.tx > first.tx:
		first = second
	}
	if size < 2*int64(first.pageSize) {
		return boltMeta{}, errors.New("it is cut off within its meta pages")
	}
	return first, nil
}

func readMeta(f *os.File, offset int64) (boltMeta, bool) {
	var b [pageHeader + metaBytes]byte
	if _, err := f.ReadAt(b[:], offset); err != nil {
		return boltMeta{}, false
	}
	m := b[pageHeader:]
	h := fnv.New64a()
	_, _ = h.Write(m[:56])
	meta := boltMeta{
		pageSize: binary.NativeEndian.Uint32(m[8:]),
		root:     binary.NativeEndian.Uint64(m[16:]),
		freelist: binary.NativeEndian.Uint64(m[32:]),
		high:     binary.NativeEndian.Uint64(m[40:]),
		tx:       binary.NativeEndian.Uint64(m[48:]),
	}
	ok := binary.NativeEndian.Uint32(m) == boltMagic &&
		binary.NativeEndian.Uint32(m[4:]) == boltVersion &&
		binary.NativeEndian.Uint64(m[56:]) == h.Sum64() &&
		meta.pageSize >= 1024 && meta.pageSize <= 1024<<maxPageSizeLog
	return meta, ok
}

// page reads a page with its overflow into the buffer of its depth and marks its numbers
// as used.
func (w *pageWalk) page(id uint64, depth int) ([]byte, error) {
	if id < 2 || id >= w.high {
		return nil, fmt.Errorf("page %d is outside 2 … %d", id, w.high-1)
	}
	if id >= uint64(len(w.seen)) {
		return nil, fmt.Errorf("page %d lies beyond the end of the file", id)
	}
	b, err := w.read(id, 1, depth)
	if err != nil {
		return nil, err
	}
	if got := binary.NativeEndian.Uint64(b); got != id {
		return nil, fmt.Errorf("page %d calls itself %d", id, got)
	}
	pages := uint64(binary.NativeEndian.Uint32(b[12:])) + 1
	if pages > w.high-id || pages > uint64(len(w.seen))-id {
		return nil, fmt.Errorf("page %d reaches beyond the end of the file", id)
	}
	for i := id; i < id+pages; i++ {
		if w.seen[i] {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		w.seen[i] = true
	}
	if pages == 1 {
		return b, nil
	}
	return w.read(id, pages, depth)
}

func (w *pageWalk) read(id, pages uint64, depth int) ([]byte, error) {
	for len(w.buffers) <= depth {
		w.buffers = append(w.buffers, nil)
	}
	n := int(pages) * int(w.pageSize)
	if cap(w.buffers[depth]) < n {
		w.buffers[depth] = make([]byte, n)
	}
	b := w.buffers[depth][:n]
	if _, err := w.file.ReadAt(b, int64(id)*w.pageSize); err != nil {
		return nil, fmt.Errorf("reading page %d: %w", id, err)
	}
	return b, nil
}

// tree checks a page and all below it: its keys ascend and lie in low ≤ key < high (nil:
// no bound).
func (w *pageWalk) tree(id uint64, low, high []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("page %d lies more than %d levels deep", id, maxDepth)
	}
	b, err := w.page(id, depth)
	if err != nil {
		return err
	}
	switch flags := binary.NativeEndian.Uint16(b[8:]); flags {
	case flagLeaf:
		return w.leaf(id, b, low, high, depth)
	case flagBranch:
		return w.branch(id, b, low, high, depth)
	default:
		return fmt.Errorf("page %d has type %#x where a tree has a branch or a leaf", id, flags)
	}
}

func (w *pageWalk) branch(id uint64, b, low, high []byte, depth int) error {
	n := int(binary.NativeEndian.Uint16(b[10:]))
	if n == 0 || pageHeader+n*elementSize > len(b) {
		return fmt.Errorf("branch page %d has %d entries", id, n)
	}
	keys := make([][]byte, n+1)
	children := make([]uint64, n)
	for i := range n {
		at := pageHeader + i*elementSize
		pos := int64(binary.NativeEndian.Uint32(b[at:]))
		length := int64(binary.NativeEndian.Uint32(b[at+4:]))
		start := int64(at) + pos
		if start+length > int64(len(b)) {
			return fmt.Errorf("entry %d of branch page %d reaches beyond it", i, id)
		}
		keys[i] = b[start : start+length]
		children[i] = binary.NativeEndian.Uint64(b[at+8:])
		if i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0 {
			return fmt.Errorf("keys of branch page %d do not ascend", id)
		}
	}
	// The first key of a branch is not a bound: what is smaller goes there too.
	keys[0], keys[n] = low, high
	for i, child := range children {
		if err := w.tree(child, keys[i], keys[i+1], depth+1); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks a leaf page, or the inline page of a small bucket.
func (w *pageWalk) leaf(id uint64, b, low, high []byte, depth int) error {
	n := int(binary.NativeEndian.Uint16(b[10:]))
	if pageHeader+n*elementSize > len(b) {
		return fmt.Errorf("leaf page %d has %d entries", id, n)
	}
	last := low
	for i := range n {
		at := pageHeader + i*elementSize
		flags := binary.NativeEndian.Uint32(b[at:])
		start := int64(at) + int64(binary.NativeEndian.Uint32(b[at+4:]))
		keyEnd := start + int64(binary.NativeEndian.Uint32(b[at+8:]))
		end := keyEnd + int64(binary.NativeEndian.Uint32(b[at+12:]))
		if end > int64(len(b)) {
			return fmt.Errorf("entry %d of leaf page %d reaches beyond it", i, id)
		}
		key := b[start:keyEnd]
		order := bytes.Compare(last, key)
		if last != nil && (order > 0 || order == 0 && i > 0) || high != nil && bytes.Compare(key, high) >= 0 {
			return fmt.Errorf("entry %d of leaf page %d is out of order", i, id)
		}
		last = key
		if flags&bucketLeaf != 0 {
			if err := w.bucket(id, b[keyEnd:end], depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *pageWalk) bucket(id uint64, value []byte, depth int) error {
	if len(value) < bucketHeader {
		return fmt.Errorf("a bucket in page %d has only %d bytes", id, len(value))
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return w.tree(root, nil, nil, depth+1)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || binary.NativeEndian.Uint16(inline[8:]) != flagLeaf {
		return fmt.Errorf("a bucket in page %d holds no leaf", id)
	}
	if depth > maxDepth {
		return fmt.Errorf("buckets in page %d lie more than %d levels deep", id, maxDepth)
	}
	return w.leaf(id, inline, nil, nil, depth+1)
}

// freelist checks that what bbolt will write over next is used by nothing.
func (w *pageWalk) freelist(id uint64) error {
	if id == noFreelist {
		return nil
	}
	b, err := w.page(id, 0)
	if err != nil {
		return fmt.Errorf("free list: %w", err)
	}
	if flags := binary.NativeEndian.Uint16(b[8:]); flags != flagFreelist {
		return fmt.Errorf("free list: page %d has type %#x", id, flags)
	}
	ids := b[pageHeader:]
	n := uint64(binary.NativeEndian.Uint16(b[10:]))
	if n == 0xFFFF {
		n = binary.NativeEndian.Uint64(ids)
		ids = ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return fmt.Errorf("free list: %d entries do not fit its page", n)
	}
	for i := range n {
		free := binary.NativeEndian.Uint64(ids[8*i:])
		if free < 2 || free >= w.high {
			return fmt.Errorf("free list: page %d is outside 2 … %d", free, w.high-1)
		}
		if free >= uint64(len(w.seen)) {
			continue // it was never written
		}
		if w.seen[free] {
			return fmt.Errorf("free list: page %d is free and used", free)
		}
		w.seen[free] = true
	}
	return nil
}
