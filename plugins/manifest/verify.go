package manifest

import (
	"fmt"
	"path/filepath"
	"slices"
)

// Depth says how thoroughly a folder is compared with its manifest.
type Depth int

const (
	// Sizes compares names and sizes; it reads no content.
	Sizes Depth = iota
	// Contents digests every file as well.
	Contents
)

// verify compares a folder, but for the file skip at its top, with the manifest. The error
// names the first difference and wraps ErrDamaged.
func (m *Manifest) verify(dir, skip string, depth Depth) error {
	if err := m.consistent(); err != nil {
		return fmt.Errorf("verifying %q: %w", dir, err)
	}
	t, err := walk(dir, skip)
	if err != nil {
		return fmt.Errorf("verifying %q: %w: %w", dir, ErrDamaged, err)
	}
	if err := compare(m.Files, t.files, func(a, b File) bool { return a.Bytes == b.Bytes }); err != nil {
		return fmt.Errorf("verifying %q: %w", dir, err)
	}
	if depth == Sizes {
		return nil
	}
	if err := digestFiles(dir, t.files); err != nil {
		return fmt.Errorf("verifying %q: %w: %w", dir, ErrDamaged, err)
	}
	if err := compare(m.Files, t.files, func(a, b File) bool { return a == b }); err != nil {
		return fmt.Errorf("verifying %q: %w", dir, err)
	}
	return nil
}

// compare finds the first difference between two lists sorted by path.
func compare(want, have []File, same func(a, b File) bool) error {
	want = slices.Clone(want)
	sortFiles(want)
	for i := 0; i < max(len(want), len(have)); i++ {
		switch {
		case i == len(have) || i < len(want) && want[i].Path < have[i].Path:
			return &Difference{Path: want[i].Path, Kind: FileMissing, Want: want[i].Bytes}
		case i == len(want) || have[i].Path < want[i].Path:
			return &Difference{Path: have[i].Path, Kind: FileAdded, Have: have[i].Bytes}
		case !same(want[i], have[i]) && want[i].Bytes != have[i].Bytes:
			return &Difference{Path: want[i].Path, Kind: OtherSize, Want: want[i].Bytes, Have: have[i].Bytes}
		case !same(want[i], have[i]):
			return &Difference{Path: want[i].Path, Kind: OtherContent, Want: want[i].Bytes, Have: have[i].Bytes}
		}
	}
	return nil
}

// VerifyOutputs reads the manifest of an attempt's output folder and verifies it.
func VerifyOutputs(outputDir string, depth Depth) (*Manifest, error) {
	m, err := Read(PathFor(outputDir))
	if err != nil {
		return nil, err
	}
	return m, m.verify(outputDir, "", depth)
}

// VerifyFolder reads the manifest inside a folder, a checkpoint, and verifies it.
func VerifyFolder(dir string, depth Depth) (*Manifest, error) {
	m, err := Read(filepath.Join(dir, FileName))
	if err != nil {
		return nil, err
	}
	return m, m.verify(dir, FileName, depth)
}

// consistent says whether the manifest agrees with itself: its digests are of its files.
func (m *Manifest) consistent() error {
	if FolderDigest(m.Files) != m.SHA256 {
		return fmt.Errorf("%w: the manifest's digest is not that of its files", ErrDamaged)
	}
	for _, o := range m.Outputs {
		want := o
		want.SHA256, want.Bytes = "", 0
		if want.digest(m.Files); want != o {
			return fmt.Errorf("%w: the manifest's digest of output %q is not that of its files", ErrDamaged, o.Name)
		}
	}
	return nil
}
