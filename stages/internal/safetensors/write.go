package safetensors

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/so8t/so8t/stages/internal/settle"
)

// Tensor is one tensor to write. Its bytes are asked for when their place in the file has
// come, so that a model larger than memory can be written.
type Tensor struct {
	Name  string
	DType DType
	Shape []int
	// WriteTo writes exactly the tensor's bytes, little-endian, row-major.
	WriteTo func(w io.Writer) error
}

func (t Tensor) size() (int64, error) {
	n := int64(t.DType.Bits())
	if n == 0 {
		return 0, fmt.Errorf("tensor %q: unknown dtype %q", t.Name, string(t.DType))
	}
	for _, d := range t.Shape {
		n *= int64(d)
	}
	if n%8 != 0 || n < 0 {
		return 0, fmt.Errorf("tensor %q: %s of shape %v is no whole number of bytes", t.Name, t.DType, t.Shape)
	}
	return n / 8, nil
}

// FromFloats makes a tensor of type F32, F16 or BF16 from data, rounding to nearest even.
func FromFloats(name string, d DType, shape []int, data []float32) Tensor {
	return Tensor{Name: name, DType: d, Shape: shape, WriteTo: func(w io.Writer) error {
		return WriteFloats(w, d, data)
	}}
}

// FromBytes makes a tensor from little-endian bytes.
func FromBytes(name string, d DType, shape []int, data []byte) Tensor {
	return Tensor{Name: name, DType: d, Shape: shape, WriteTo: func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

// WriteFloats writes data as elements of type d, a piece at a time.
func WriteFloats(w io.Writer, d DType, data []float32) error {
	const piece = 16 << 10
	buf := make([]byte, 0, 4*min(piece, len(data)))
	for len(data) > 0 {
		n := min(piece, len(data))
		b, err := AppendFloats(d, buf[:0], data[:n])
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// Sort puts tensors in the order Hugging Face's own writer uses: wide elements first (so
// that every tensor is aligned), then by name.
func Sort(tensors []Tensor) {
	slices.SortStableFunc(tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(b.DType.Bits(), a.DType.Bits()), cmp.Compare(a.Name, b.Name))
	})
}

// Write writes one file with the tensors in the given order and syncs it. The same tensors
// and metadata give the same bytes. Metadata gets "format": "pt" when it has none, because
// older readers refuse files without.
func Write(path string, tensors []Tensor, metadata map[string]string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing weights: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			err = fmt.Errorf("writing weights %q: %w", path, err)
		}
	}()
	s := settle.New(f, true)
	w := bufio.NewWriterSize(s, 1<<20)
	if err := Encode(w, tensors, metadata); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return s.Sync()
}

// Encode writes a file's bytes to w.
func Encode(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	head, err := encodeHeader(tensors, metadata)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	for _, t := range tensors {
		size, err := t.size()
		if err != nil {
			return err
		}
		cw := &countingWriter{w: w, left: size}
		if err := t.WriteTo(cw); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if cw.left != 0 {
			return fmt.Errorf("tensor %q: %d of %d bytes were written", t.Name, size-cw.left, size)
		}
	}
	return nil
}

func encodeHeader(tensors []Tensor, metadata map[string]string) ([]byte, error) {
	meta := map[string]string{"format": "pt"}
	for k, v := range metadata {
		meta[k] = v
	}
	// Go writes a map's keys sorted; the tensors come in their order.
	m, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	out := append([]byte(`{"__metadata__":`), m...)
	seen := map[string]bool{"__metadata__": true}
	var offset int64
	for _, t := range tensors {
		if seen[t.Name] {
			return nil, fmt.Errorf("tensor %q twice", t.Name)
		}
		seen[t.Name] = true
		size, err := t.size()
		if err != nil {
			return nil, err
		}
		shape := t.Shape
		if shape == nil {
			shape = []int{}
		}
		key, err := json.Marshal(t.Name)
		if err != nil {
			return nil, err
		}
		entry, err := json.Marshal(struct {
			DType   DType    `json:"dtype"`
			Shape   []int    `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{t.DType, shape, [2]int64{offset, offset + size}})
		if err != nil {
			return nil, err
		}
		out = append(append(append(append(out, ','), key...), ':'), entry...)
		offset += size
	}
	out = append(out, '}')
	for len(out)%8 != 0 {
		out = append(out, ' ')
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(out))), out...), nil
}

type countingWriter struct {
	w    io.Writer
	left int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		return 0, errors.New("more bytes than its shape says")
	}
	n, err := c.w.Write(p)
	c.left -= int64(n)
	return n, err
}

// WriteFolder writes the tensors into dir as Hugging Face does: model.safetensors, or
// shards of at most maxShard bytes (one tensor may exceed it) and their index.
func WriteFolder(dir string, tensors []Tensor, metadata map[string]string, maxShard int64) error {
	tensors = slices.Clone(tensors)
	Sort(tensors)
	shards, total, err := split(tensors, maxShard)
	if err != nil {
		return err
	}
	if len(shards) == 1 {
		return Write(filepath.Join(dir, singleName), tensors, metadata)
	}
	weights := map[string]string{}
	for i, shard := range shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		if err := Write(filepath.Join(dir, name), shard, metadata); err != nil {
			return err
		}
		for _, t := range shard {
			weights[t.Name] = name
		}
	}
	index, err := json.MarshalIndent(map[string]any{
		"metadata": map[string]int64{"total_size": total}, "weight_map": weights,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, indexName), append(index, '\n'), 0o644)
}

func split(tensors []Tensor, maxShard int64) (shards [][]Tensor, total int64, err error) {
	var size int64
	shards = [][]Tensor{nil}
	for _, t := range tensors {
		n, err := t.size()
		if err != nil {
			return nil, 0, err
		}
		last := len(shards) - 1
		if len(shards[last]) > 0 && size+n > maxShard {
			shards, size, last = append(shards, nil), 0, last+1
		}
		shards[last] = append(shards[last], t)
		size += n
		total += n
	}
	return shards, total, nil
}
