// Package safetensors reads and writes model weights in the safetensors format: one file,
// or a Hugging Face folder with one file or with shards and an index.
//
// Reading is strict: sizes, offsets and names are verified against the file before any
// tensor is given out, so that a truncated download is an error and never a wrong number.
package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/so8t/so8t/stages/internal/mapped"
)

// Names of the files in a Hugging Face folder.
const (
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

// Set is an open set of tensors, of one file or of several shards. Its methods may be
// called from several goroutines until Close.
type Set struct {
	infos    map[string]located
	names    []string // sorted
	metadata map[string]string
	files    []*mapped.File
	paths    []string
}

type located struct {
	Info
	file *mapped.File
}

// Open opens a .safetensors file, or a folder that holds model.safetensors or an index of
// shards.
func Open(path string) (*Set, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening weights %q: %w", path, err)
	}
	s := &Set{infos: map[string]located{}}
	if st.IsDir() {
		err = s.addFolder(path)
	} else {
		err = s.addFile(path, nil)
	}
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("opening weights %q: %w", path, err)
	}
	for name := range s.infos {
		s.names = append(s.names, name)
	}
	slices.Sort(s.names)
	return s, nil
}

func (s *Set) addFolder(dir string) error {
	raw, err := os.ReadFile(filepath.Join(dir, indexName))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, singleName)); err != nil {
			return fmt.Errorf("neither %s nor %s is there: %w", singleName, indexName, os.ErrNotExist)
		}
		return s.addFile(filepath.Join(dir, singleName), nil)
	}
	if err != nil {
		return err
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return fmt.Errorf("reading %s: %w", indexName, err)
	}
	shards := map[string][]string{}
	for name, file := range index.WeightMap {
		if file != filepath.Base(file) || !strings.HasSuffix(file, ".safetensors") {
			return fmt.Errorf("%s: tensor %q is said to be in %q, which is no file of this folder", indexName, name, file)
		}
		shards[file] = append(shards[file], name)
	}
	if len(shards) == 0 {
		return fmt.Errorf("%s: no weight_map", indexName)
	}
	files := make([]string, 0, len(shards))
	for f := range shards {
		files = append(files, f)
	}
	slices.Sort(files)
	for _, f := range files {
		slices.Sort(shards[f])
		if err := s.addFile(filepath.Join(dir, f), shards[f]); err != nil {
			return fmt.Errorf("shard %q: %w", f, err)
		}
	}
	return nil
}

// addFile maps one file. With want, its tensors must be exactly those.
func (s *Set) addFile(path string, want []string) error {
	m, err := mapped.Open(path)
	if err != nil {
		return err
	}
	s.files = append(s.files, m)
	s.paths = append(s.paths, path)
	h, err := readHeader(m.Reader(), m.Size())
	if err != nil {
		return err
	}
	if s.metadata == nil {
		s.metadata = h.metadata
	}
	for _, t := range h.tensors {
		if _, ok := s.infos[t.Name]; ok {
			return fmt.Errorf("tensor %q is in two shards", t.Name)
		}
		if want != nil {
			if _, ok := slices.BinarySearch(want, t.Name); !ok {
				return fmt.Errorf("tensor %q is not in the index", t.Name)
			}
		}
		s.infos[t.Name] = located{t, m}
	}
	for _, name := range want {
		if _, ok := s.infos[name]; !ok {
			return fmt.Errorf("tensor %q of the index is missing", name)
		}
	}
	return nil
}

// Names returns the tensors' names, sorted.
func (s *Set) Names() []string { return slices.Clone(s.names) }

// Metadata returns the metadata of the (first) file; it may be nil.
func (s *Set) Metadata() map[string]string { return s.metadata }

// Paths returns the files that hold the tensors.
func (s *Set) Paths() []string { return slices.Clone(s.paths) }

// Info describes a tensor; false when there is none of that name.
func (s *Set) Info(name string) (Info, bool) {
	l, ok := s.infos[name]
	return l.Info, ok
}

// Bytes returns a tensor's little-endian bytes. They may be a view of the file: they must
// not be written to and end with Close.
func (s *Set) Bytes(name string) ([]byte, error) {
	l, ok := s.infos[name]
	if !ok {
		return nil, fmt.Errorf("reading tensor %q: no such tensor", name)
	}
	b, err := l.file.Bytes(l.Offset, l.Size)
	if err != nil {
		return nil, fmt.Errorf("reading tensor %q: %w", name, err)
	}
	return b, nil
}

// rawChunk is how much of a tensor CopyTo holds.
const rawChunk = 16 << 20

// CopyTo writes a tensor's little-endian bytes, a piece at a time, and holds on to none of the
// file.
func (s *Set) CopyTo(w io.Writer, name string) error {
	l, ok := s.infos[name]
	if !ok {
		return fmt.Errorf("copying tensor %q: no such tensor", name)
	}
	for at := int64(0); at < l.Size; at += rawChunk {
		raw, err := l.file.Bytes(l.Offset+at, min(rawChunk, l.Size-at))
		if err == nil {
			_, err = w.Write(raw)
			l.file.Release(raw)
		}
		if err != nil {
			return fmt.Errorf("copying tensor %q: %w", name, err)
		}
	}
	return nil
}

// Floats returns a whole tensor as float32.
func (s *Set) Floats(name string) ([]float32, error) {
	l, ok := s.infos[name]
	if !ok {
		return nil, fmt.Errorf("reading tensor %q: no such tensor", name)
	}
	dst := make([]float32, l.Len())
	return dst, s.ReadFloats(name, 0, dst)
}

// ReadFloats fills dst with elements first, first+1, … of a tensor, converted to float32;
// it is how a large tensor is read in chunks of rows.
func (s *Set) ReadFloats(name string, first int, dst []float32) error {
	l, ok := s.infos[name]
	if !ok {
		return fmt.Errorf("reading tensor %q: no such tensor", name)
	}
	if first < 0 || first > l.Len() || len(dst) > l.Len()-first {
		return fmt.Errorf("reading tensor %q: elements %d to %d of %d", name, first, first+len(dst), l.Len())
	}
	width := int64(l.DType.Bits() / 8)
	raw, err := l.file.Bytes(l.Offset+int64(first)*width, int64(len(dst))*width)
	if err == nil {
		err = decodeFloats(l.DType, raw, dst)
		l.file.Release(raw)
	}
	if err != nil {
		return fmt.Errorf("reading tensor %q: %w", name, err)
	}
	return nil
}

// Ints returns a whole tensor of an integer type.
func (s *Set) Ints(name string) ([]int64, error) {
	raw, err := s.Bytes(name)
	if err != nil {
		return nil, err
	}
	l := s.infos[name]
	dst := make([]int64, l.Len())
	if err := decodeInts(l.DType, raw, dst); err != nil {
		return nil, fmt.Errorf("reading tensor %q: %w", name, err)
	}
	return dst, nil
}

// Close releases the files. Views end here.
func (s *Set) Close() error {
	var first error
	for _, f := range s.files {
		if err := f.Close(); err != nil && first == nil {
			first = err
		}
	}
	s.files = nil
	return first
}
