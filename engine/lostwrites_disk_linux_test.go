package engine_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// disk is what a log of operations makes of a folder, with every change's time to become durable:
// a write or truncation when its file is synced, a name when the folder it is in is. That is all
// POSIX promises; a file system may keep more.
type disk struct {
	changes []change
	inodes  int
	live    map[int]map[string]int // names in each folder as the program sees them
}

// change is one effect on an inode: the bytes of a file, or the names in a folder.
type change struct {
	at      int // when it was made: a position in the log
	durable int // the position from which it is durable
	inode   int
	kind    opKind
	offset  int64
	data    []byte // of a write
	size    int64  // of a truncation
	name    string // that comes to the folder, or goes; a rename's new one
	entered int    // the inode that the name stands for
	from    int    // a rename's other folder …
	left    string // … and the name in it that goes
}

const rootInode = 1

// newDisk starts from a folder as it is, which is durable.
func newDisk(root string) (*disk, error) {
	d := &disk{inodes: rootInode, live: map[int]map[string]int{rootInode: {}}}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		dir, name, err := d.place(root, path)
		if err != nil {
			return err
		}
		c := change{at: -1, durable: -1, inode: dir, kind: opCreate, name: name, entered: d.newInode(e.IsDir())}
		d.add(c)
		d.live[dir][name] = c.entered
		if e.IsDir() {
			return nil
		}
		text, err := os.ReadFile(path)
		d.add(change{at: -1, durable: -1, inode: c.entered, kind: opWrite, data: text})
		return err
	})
	return d, err
}

func (d *disk) add(c change) { d.changes = append(d.changes, c) }

func (d *disk) newInode(dir bool) int {
	d.inodes++
	if dir {
		d.live[d.inodes] = map[string]int{}
	}
	return d.inodes
}

// place is the folder and the name of a path.
func (d *disk) place(root, path string) (dir int, name string, err error) {
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return 0, "", err
	}
	parts := strings.Split(rel, "/")
	dir = rootInode
	for _, p := range parts[:len(parts)-1] {
		dir = d.live[dir][p]
		if d.live[dir] == nil {
			return 0, "", fmt.Errorf("the log has no folder %q of %s", p, path)
		}
	}
	return dir, parts[len(parts)-1], nil
}

// replay takes in the whole log.
func (d *disk) replay(root string, ops []diskOp) error {
	for i, op := range ops {
		if err := d.take(root, i, op); err != nil {
			return fmt.Errorf("operation %d, %s: %w", i, op, err)
		}
	}
	return nil
}

func (d *disk) take(root string, at int, op diskOp) error {
	if op.Path == root {
		if op.Kind == opSync {
			d.sync(rootInode, at, op.Covers)
		}
		return nil
	}
	dir, name, err := d.place(root, op.Path)
	if err != nil {
		return err
	}
	inode, there := d.live[dir][name]
	if !there && op.Kind != opCreate && op.Kind != opMkdir {
		return fmt.Errorf("the log has no such file")
	}
	c := change{at: at, durable: math.MaxInt, inode: inode, kind: op.Kind, offset: op.Offset, data: op.Data, size: op.Size}
	switch op.Kind {
	case opSync:
		d.sync(inode, at, op.Covers)
		return nil
	case opCreate, opMkdir:
		c.inode, c.name, c.entered = dir, name, d.newInode(op.Kind == opMkdir)
		d.live[dir][name] = c.entered
	case opRemove:
		c.inode, c.name = dir, name
		delete(d.live[dir], name)
	case opRename:
		c.from, c.left, c.entered = dir, name, inode
		if c.inode, c.name, err = d.place(root, op.To); err != nil {
			return err
		}
		delete(d.live[dir], name)
		d.live[c.inode][c.name] = inode
	}
	d.add(c)
	return nil
}

func (d *disk) sync(inode, at, covers int) {
	for i := range d.changes {
		if c := &d.changes[i]; c.inode == inode && c.at < covers {
			c.durable = min(c.durable, at)
		}
	}
}

// page is the unit in which the data of one write may be lost.
const page = 4096

// survival decides which changes that are not durable a power cut leaves nevertheless.
type survival struct {
	name string
	// names: the change of a folder; data: one page of a write, or a truncation.
	names func() bool
	data  func() bool
}

// tree is a folder in memory: files by their path, folders with a slash at the end.
type tree map[string][]byte

// crash is what is on the disk when the power fails before operation k.
func (d *disk) crash(k int, s survival) tree {
	names := map[int]map[string]int{}
	data := map[int][]byte{}
	for i := range d.changes {
		c := &d.changes[i]
		if c.at >= k {
			break
		}
		sure := c.durable < k
		switch c.kind {
		case opWrite:
			for from := 0; from < len(c.data); {
				to := min(len(c.data), from+page-int(c.offset+int64(from))%page)
				if sure || s.data() {
					data[c.inode] = put(data[c.inode], c.offset+int64(from), c.data[from:to])
				}
				from = to
			}
		case opTruncate:
			if sure || s.data() {
				data[c.inode] = resize(data[c.inode], c.size)
			}
		default:
			if sure || s.names() {
				c.rename(names)
			}
		}
	}
	t := tree{}
	d.list(t, names, data, rootInode, "")
	return t
}

// rename applies a change of names; all at once, as every file system in use does.
func (c *change) rename(names map[int]map[string]int) {
	if c.kind == opRename && names[c.from] != nil && names[c.from][c.left] == c.entered {
		delete(names[c.from], c.left)
	}
	if c.kind == opRemove {
		delete(names[c.inode], c.name)
		return
	}
	if names[c.inode] == nil {
		names[c.inode] = map[string]int{}
	}
	names[c.inode][c.name] = c.entered
}

func put(b []byte, offset int64, data []byte) []byte {
	if end := offset + int64(len(data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[offset:], data)
	return b
}

func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return slices.Clone(b[:n])
	}
	return append(slices.Clone(b), make([]byte, n-int64(len(b)))...)
}

func (d *disk) list(t tree, names map[int]map[string]int, data map[int][]byte, dir int, prefix string) {
	for name, inode := range names[dir] {
		if d.live[inode] != nil {
			t[prefix+name+"/"] = nil
			d.list(t, names, data, inode, prefix+name+"/")
			continue
		}
		t[prefix+name] = data[inode]
	}
}

// key tells trees apart.
func (t tree) key() [sha256.Size]byte {
	sum := sha256.New()
	for _, path := range t.paths() {
		fmt.Fprintf(sum, "%s %d\n", path, len(t[path]))
		sum.Write(t[path])
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

func (t tree) paths() []string {
	var all []string
	for path := range t {
		all = append(all, path)
	}
	slices.Sort(all)
	return all
}

// write makes the tree below dir.
func (t tree) write(dir string) error {
	for _, path := range t.paths() {
		at := filepath.Join(dir, filepath.FromSlash(path))
		if strings.HasSuffix(path, "/") {
			if err := os.Mkdir(at, 0o777); err != nil {
				return err
			}
			continue
		}
		if err := os.WriteFile(at, t[path], 0o666); err != nil {
			return err
		}
	}
	return nil
}
