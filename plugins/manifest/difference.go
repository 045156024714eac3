package manifest

import "fmt"

// DifferenceKind says in what a file is not what its manifest says.
type DifferenceKind int

const (
	FileMissing DifferenceKind = iota
	FileAdded
	OtherSize
	OtherContent
)

// Difference is the first file of a folder that is not what the manifest says; it wraps ErrDamaged.
type Difference struct {
	Path string // relative to the folder, with slashes
	Kind DifferenceKind
	// Want and Have are sizes in bytes: of the manifest, and of the file.
	Want, Have int64
}

func (d *Difference) Error() string {
	switch d.Kind {
	case FileMissing:
		return fmt.Sprintf("%v: %q is missing", ErrDamaged, d.Path)
	case FileAdded:
		return fmt.Sprintf("%v: %q is not in the manifest", ErrDamaged, d.Path)
	case OtherSize:
		return fmt.Sprintf("%v: %q has %d bytes, the manifest says %d", ErrDamaged, d.Path, d.Have, d.Want)
	}
	return fmt.Sprintf("%v: %q has another content than the manifest says", ErrDamaged, d.Path)
}

// Unwrap makes a Difference an ErrDamaged.
func (d *Difference) Unwrap() error { return ErrDamaged }
