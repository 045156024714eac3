package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// OutputError says which declared output is not as declared.
type OutputError struct {
	Output string
	Reason string
}

func (e *OutputError) Error() string { return fmt.Sprintf("output %q %s", e.Output, e.Reason) }

// SealOutputs makes an attempt's output folder durable: it checks that the required outputs
// are there and not empty, syncs every file and folder bottom-up, and writes the manifest
// beside the folder. When it returns nil the outputs survive a power cut.
func SealOutputs(d Disk, dir string, outputs []Output) (*Manifest, error) {
	t, err := walk(dir, "")
	if err != nil {
		return nil, err
	}
	found, err := match(t, outputs)
	if err != nil {
		return nil, err
	}
	m, err := t.seal(d, t.folders)
	if err != nil {
		return nil, err
	}
	for i := range found {
		found[i].digest(m.Files)
	}
	m.Outputs = found
	return m, m.write(d, PathFor(dir))
}

// SealFolder makes a folder durable and writes its manifest inside it.
func SealFolder(d Disk, dir string) (*Manifest, error) {
	t, err := walk(dir, FileName)
	if err != nil {
		return nil, err
	}
	// The folder itself, the last one, is synced when its manifest has been renamed.
	m, err := t.seal(d, t.folders[:len(t.folders)-1])
	if err != nil {
		return nil, err
	}
	return m, m.write(d, filepath.Join(dir, FileName))
}

func (m *Manifest) write(d Disk, path string) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	return WriteDurably(d, path, b)
}

// tree is a folder's content before hashing: files and folders relative to root, sorted,
// folders after what they hold.
type tree struct {
	root    string
	skip    string                // a file at the top that is not part of it, nor its temporary form
	without func(dir string) bool // folders that are not part of it; nil: none
	files   []File
	folders []string
}

// walk lists the folder at root, all but the file skip at its top.
func walk(root, skip string) (*tree, error) {
	t := &tree{root: root, skip: skip}
	if err := t.visit(""); err != nil {
		return nil, err
	}
	sortFiles(t.files)
	return t, nil
}

func (t *tree) visit(rel string) error {
	entries, err := os.ReadDir(filepath.Join(t.root, filepath.FromSlash(rel)))
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := path.Join(rel, e.Name())
		if t.skip != "" && (p == t.skip || p == t.skip+".tmp") {
			continue
		}
		if err := t.add(p, e); err != nil {
			return err
		}
	}
	t.folders = append(t.folders, rel)
	return nil
}

func (t *tree) add(p string, e fs.DirEntry) error {
	switch {
	case e.IsDir() && t.without != nil && t.without(filepath.Join(t.root, filepath.FromSlash(p))):
		return nil
	case e.IsDir():
		return t.visit(p)
	case e.Type().IsRegular():
		info, err := e.Info()
		if err != nil {
			return err
		}
		t.files = append(t.files, File{Path: p, Bytes: info.Size()})
		return nil
	case e.Type()&fs.ModeSymlink != 0:
		return fmt.Errorf("%q is a link: results may hold none, copy what it points to", p)
	}
	return fmt.Errorf("%q is neither a file nor a folder", p)
}

// seal syncs the files, then the folders bottom-up, and digests the files.
func (t *tree) seal(d Disk, folders []string) (*Manifest, error) {
	for _, f := range t.files {
		if err := d.SyncFile(t.path(f.Path)); err != nil {
			return nil, fmt.Errorf("syncing %q: %w", f.Path, err)
		}
	}
	for _, f := range folders {
		if err := d.SyncDir(t.path(f)); err != nil {
			return nil, fmt.Errorf("syncing folder %q: %w", f, err)
		}
	}
	if err := digestFiles(t.root, t.files); err != nil {
		return nil, err
	}
	return &Manifest{Version: version, SHA256: FolderDigest(t.files), Files: t.files}, nil
}

func (t *tree) path(rel string) string { return filepath.Join(t.root, filepath.FromSlash(rel)) }

// match finds every declared output in the tree.
func match(t *tree, outputs []Output) ([]Sealed, error) {
	found := []Sealed{}
	for _, o := range outputs {
		p := o.Path
		if p == "" {
			p = o.Name
		}
		s := Sealed{Name: o.Name, Path: path.Clean(p), MediaType: o.MediaType, Volatile: o.Volatile}
		if !fs.ValidPath(s.Path) || s.Path == "." {
			return nil, &OutputError{o.Name, fmt.Sprintf("has the path %q, which is not below the output folder", p)}
		}
		err := s.locate(t)
		if err != nil && o.Optional {
			continue
		}
		if err != nil {
			return nil, &OutputError{o.Name, err.Error()}
		}
		found = append(found, s)
	}
	return found, nil
}

var (
	errMissing = errors.New("is missing")
	errEmpty   = errors.New("is empty")
)

// locate says whether s is there, as a file or folder, and not empty.
func (s *Sealed) locate(t *tree) error {
	for _, f := range t.files {
		if f.Path == s.Path {
			if f.Bytes == 0 {
				return errEmpty
			}
			return nil
		}
	}
	for _, dir := range t.folders {
		if dir == s.Path {
			s.Folder = true
		}
	}
	if !s.Folder {
		return errMissing
	}
	for _, f := range t.files {
		if strings.HasPrefix(f.Path, s.Path+"/") && f.Bytes > 0 {
			return nil
		}
	}
	return errEmpty
}

// digest fills in the digest and size from the digested files of the whole tree.
func (s *Sealed) digest(files []File) {
	var below []File
	for _, f := range files {
		if !s.Folder && f.Path == s.Path {
			s.SHA256, s.Bytes = f.SHA256, f.Bytes
			return
		}
		if rel, ok := strings.CutPrefix(f.Path, s.Path+"/"); ok {
			below = append(below, File{Path: rel, SHA256: f.SHA256, Bytes: f.Bytes})
			s.Bytes += f.Bytes
		}
	}
	s.SHA256 = FolderDigest(below)
}
