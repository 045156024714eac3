// Package imatrix holds importance matrices: for each projection of a model, how large what goes
// into its columns was on a calibration text. K-quants spend their precision accordingly. The file
// format is llama.cpp's: a GGUF file with two tensors for each projection.
package imatrix

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/quant"
)

const (
	keyType      = "general.type"
	fileType     = "imatrix"
	keyDatasets  = "imatrix.datasets"
	keyChunks    = "imatrix.chunk_count"
	keyChunkSize = "imatrix.chunk_size"

	sumSuffix   = ".in_sum2"
	countSuffix = ".counts"
)

// Matrix is an importance matrix.
type Matrix struct {
	Datasets          []string // names of the texts
	Chunks, ChunkSize int      // that were read, and tokens of each

	entries map[string]*entry // by the matrix's name in a GGUF file
}

// entry is what went into one matrix.
type entry struct {
	sums  []float32 // Σx² of each column
	count float32   // of rows
}

// New is an empty one.
func New(datasets []string, chunkSize int) *Matrix {
	return &Matrix{Datasets: datasets, ChunkSize: chunkSize, entries: map[string]*entry{}}
}

// Add counts rows [n, columns] that go into a matrix.
func (m *Matrix) Add(name string, rows []float32, columns int) {
	e := m.entries[name]
	if e == nil {
		e = &entry{sums: make([]float32, columns)}
		m.entries[name] = e
	}
	for ; len(rows) >= columns; rows = rows[columns:] {
		for j, v := range rows[:columns] {
			e.sums[j] += float32(v * v)
		}
		e.count++
	}
}

// Len is the number of matrices.
func (m *Matrix) Len() int { return len(m.entries) }

// Importance is the mean square of what goes into each column of a matrix, by its name; 1 for a
// matrix that nothing went into.
func (m *Matrix) Importance() map[string][]float32 {
	all := map[string][]float32{}
	for name, e := range m.entries {
		mean := make([]float32, len(e.sums))
		for j, sum := range e.sums {
			if mean[j] = 1; e.count > 0 {
				mean[j] = sum / e.count
			}
		}
		all[name] = mean
	}
	return all
}

// Read reads a file that llama-imatrix or Write wrote.
func Read(path string) (*Matrix, error) {
	file, err := ggufio.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading importance matrix: %w", err)
	}
	defer file.Close()
	refuse := func(format string, args ...any) (*Matrix, error) {
		return nil, &ggufio.FormatError{Path: path, Problem: fmt.Sprintf(format, args...)}
	}
	if typ, err := ggufio.Lookup[string](file, keyType); err != nil || typ != fileType {
		return refuse("it is no importance matrix: %s is %q", keyType, typ)
	}
	datasets, err := ggufio.Lookup[[]string](file, keyDatasets)
	if err != nil {
		return nil, err
	}
	m := New(datasets, 0)
	for key, to := range map[string]*int{keyChunks: &m.Chunks, keyChunkSize: &m.ChunkSize} {
		n, err := ggufio.Lookup[uint32](file, key)
		if err != nil {
			return nil, err
		}
		*to = int(n)
	}
	for _, t := range file.Tensors {
		name, isSum := strings.CutSuffix(t.Name, sumSuffix)
		if !isSum {
			if name, isCount := strings.CutSuffix(t.Name, countSuffix); isCount {
				if _, ok := file.Tensor(name + sumSuffix); ok {
					continue
				}
			}
			return refuse("tensor %q is neither a sum nor a sum's count", t.Name)
		}
		count, ok := file.Tensor(name + countSuffix)
		if !ok || count.Len() != 1 || len(t.Dims) != 1 || t.Type != quant.F32 || count.Type != quant.F32 {
			return refuse("%q does not have one row of sums and one count", name)
		}
		e := &entry{sums: make([]float32, t.Len())}
		one := make([]float32, 1)
		if err := file.ReadFloats(t, 0, e.sums); err != nil {
			return nil, err
		}
		if err := file.ReadFloats(count, 0, one); err != nil {
			return nil, err
		}
		if e.count = one[0]; !e.valid() {
			return refuse("%q has a sum or a count that is negative or no number", name)
		}
		m.entries[name] = e
	}
	return m, nil
}

// valid wants numbers that are not negative and finite.
func (e *entry) valid() bool {
	for _, v := range append(slices.Clone(e.sums), e.count) {
		if !(v >= 0) || v-v != 0 {
			return false
		}
	}
	return true
}

// Check wants every matrix of the file to have the columns that are counted here.
func (m *Matrix) Check(columns map[string]int) error {
	for _, name := range slices.Sorted(maps.Keys(m.entries)) {
		n, ok := columns[name]
		switch {
		case !ok:
			return fmt.Errorf("the importance matrix has %s, which the model has not: it was made of another model", name)
		case n != len(m.entries[name].sums):
			return fmt.Errorf("the importance matrix has %d columns for %s, the model %d: it was made of another model", len(m.entries[name].sums), name, n)
		}
	}
	return nil
}

// Write writes the file, matrices by name.
func (m *Matrix) Write(w io.Writer) error {
	names := slices.Sorted(maps.Keys(m.entries))
	var infos []ggufio.TensorInfo
	for _, name := range names {
		infos = append(infos,
			ggufio.TensorInfo{Name: name + sumSuffix, Dims: []int{len(m.entries[name].sums)}, Type: quant.F32},
			ggufio.TensorInfo{Name: name + countSuffix, Dims: []int{1}, Type: quant.F32})
	}
	out, err := ggufio.NewWriter(w, []ggufio.KV{
		{Key: keyType, Value: fileType}, {Key: keyDatasets, Value: m.Datasets},
		{Key: keyChunks, Value: uint32(m.Chunks)}, {Key: keyChunkSize, Value: uint32(m.ChunkSize)},
	}, infos)
	if err != nil {
		return err
	}
	for i, name := range names {
		for j, values := range [][]float32{m.entries[name].sums, {m.entries[name].count}} {
			if err := out.Begin(infos[2*i+j].Name); err != nil {
				return err
			}
			if err := out.WriteFloats(values); err != nil {
				return err
			}
		}
	}
	return out.Close()
}
