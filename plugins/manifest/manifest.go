// Package manifest makes folders of results durable and says later whether they still are
// what was written: a manifest lists every file with its sha256 and size. It also reads the
// so8t-plugin.yaml of foreign plugins, whose files are digested the same way.
//
// The outputs of an attempt lie in ATTEMPT/out and their manifest beside it in
// ATTEMPT/manifest.json; a checkpoint is a folder with its manifest.json inside. A manifest
// is written last, so a folder that has one is complete. It holds no time, host or absolute
// path: the same results give the same bytes.
package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// FileName is the name of every manifest.
const FileName = "manifest.json"

// version of the manifest's own format.
const version = 1

// Manifest lists what a folder held when it was sealed.
type Manifest struct {
	Version int `json:"version"`
	// SHA256 is the digest of the whole folder, see FolderDigest.
	SHA256 string `json:"sha256"`
	// Outputs are the declared outputs that are there, in the order of the description.
	// A checkpoint has none.
	Outputs []Sealed `json:"outputs,omitempty"`
	Files   []File   `json:"files"`
}

// File is one regular file. Path is relative to the folder, with slashes.
type File struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Output is what a stage declares to leave; the fields are those of plugins.Output.
type Output struct {
	Name, Path, MediaType string
	Optional, Volatile    bool
}

// Sealed is one output as it was found: a file, or a folder with the digest of its files
// (paths relative to that folder) and the sum of their sizes.
type Sealed struct {
	Name      string `json:"name"`
	Path      string `json:"path"`
	Folder    bool   `json:"folder,omitempty"`
	SHA256    string `json:"sha256"`
	Bytes     int64  `json:"bytes"`
	MediaType string `json:"media_type,omitempty"`
	Volatile  bool   `json:"volatile,omitempty"`
}

// ErrIncomplete is in the chain of an error for a folder without a manifest: it was never
// finished.
var ErrIncomplete = errors.New("no manifest: the folder was never finished")

// ErrDamaged is in the chain of an error for a folder that is not what its manifest says.
var ErrDamaged = errors.New("damaged")

// PathFor is where the manifest of an attempt's output folder lies: beside it.
func PathFor(outputDir string) string {
	return filepath.Join(filepath.Dir(outputDir), FileName)
}

// Read reads a manifest file.
func Read(path string) (*Manifest, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading manifest %q: %w", path, ErrIncomplete)
	}
	if err != nil {
		return nil, err
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("reading manifest %q: %w: %w", path, ErrDamaged, err)
	}
	if m.Version != version {
		return nil, fmt.Errorf("reading manifest %q: version %d, want %d", path, m.Version, version)
	}
	return &m, nil
}

// Output finds a sealed output by name.
func (m *Manifest) Output(name string) (Sealed, bool) {
	for _, o := range m.Outputs {
		if o.Name == name {
			return o, true
		}
	}
	return Sealed{}, false
}

// Bytes is the size of all files.
func (m *Manifest) Bytes() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Bytes
	}
	return n
}

func (m *Manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}
