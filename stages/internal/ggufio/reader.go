package ggufio

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/so8t/so8t/stages/internal/mapped"
	"github.com/so8t/so8t/stages/internal/quant"
)

// File is an open GGUF file. Its methods may be called from several goroutines.
type File struct {
	Metadata []KV
	Tensors  []TensorInfo
	path     string
	f        *mapped.File
	data     int64 // where the data section begins
	byName   map[string]int
	byKey    map[string]any
}

// Open reads and checks everything but the tensors' contents.
func Open(path string) (*File, error) {
	f, err := mapped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening GGUF: %w", err)
	}
	g, err := parse(path, f.Reader(), f.Size())
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	g.f = f
	return g, nil
}

// parse reads the header of a file of size bytes.
func parse(path string, r io.Reader, size int64) (g *File, err error) {
	h := &headerReader{r: bufio.NewReaderSize(r, 1<<16), left: size, path: path}
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(*FormatError)
			if !ok {
				panic(p)
			}
			g, err = nil, e
		}
	}()
	g = &File{path: path, byName: map[string]int{}, byKey: map[string]any{}}
	if m := h.take(4); string(m) != magic {
		h.fail("it begins with %q, not GGUF", m)
	}
	if v := h.u32(); v != version {
		h.fail("version %d is not supported (3 is)", v)
	}
	tensors, entries := h.count("tensors", 24), h.count("metadata entries", 12)
	for range entries {
		g.readEntry(h)
	}
	alignment := int64(defaultAlignment)
	if v, ok := g.byKey[alignmentKey]; ok {
		a, isU32 := v.(uint32)
		if !isU32 || a == 0 || a&(a-1) != 0 || a > 1<<20 {
			h.fail("%s is %v, not a power of two", alignmentKey, v)
		}
		alignment = int64(a)
	}
	for range tensors {
		g.readTensor(h)
	}
	g.data = pad(size-h.left, alignment)
	g.checkOffsets(h, size, alignment)
	return g, nil
}

func (g *File) readEntry(h *headerReader) {
	key := h.string()
	if _, twice := g.byKey[key]; twice {
		h.fail("metadata %q stands there twice", key)
	}
	v := h.value(h.u32())
	g.Metadata = append(g.Metadata, KV{key, v})
	g.byKey[key] = v
}

func (g *File) readTensor(h *headerReader) {
	t := TensorInfo{Name: h.string()}
	if len(t.Name) >= maxName {
		h.fail("tensor name %.70q is longer than %d bytes", t.Name, maxName-1)
	}
	if _, twice := g.byName[t.Name]; twice {
		h.fail("tensor %q stands there twice", t.Name)
	}
	dims := h.u32()
	if dims == 0 || dims > maxDims {
		h.fail("tensor %q has %d dimensions", t.Name, dims)
	}
	n := int64(1)
	for range dims {
		d := h.u64()
		if d == 0 || d > math.MaxInt32 || n > math.MaxInt64/int64(d)/8 {
			h.fail("tensor %q has a dimension of %d", t.Name, d)
		}
		n *= int64(d)
		t.Dims = append(t.Dims, int(d))
	}
	t.Type = quant.Type(h.u32())
	if !t.Type.Known() {
		h.fail("tensor %q has %v, which is not supported", t.Name, t.Type)
	}
	if t.Dims[0]%t.Type.Block() != 0 {
		h.fail("tensor %q has %d columns, not a multiple of %d as %v needs", t.Name, t.Dims[0], t.Type.Block(), t.Type)
	}
	offset := h.u64()
	if offset > math.MaxInt64/2 {
		h.fail("tensor %q lies at offset %d", t.Name, offset)
	}
	t.Offset = int64(offset)
	g.byName[t.Name] = len(g.Tensors)
	g.Tensors = append(g.Tensors, t)
}

// checkOffsets wants the tensors one behind the other, each padded, and all of them there.
func (g *File) checkOffsets(h *headerReader, size, alignment int64) {
	var expected int64
	for _, t := range g.Tensors {
		if t.Offset != expected {
			h.fail("tensor %q lies at offset %d instead of %d", t.Name, t.Offset, expected)
		}
		if end := g.data + t.Offset + t.Size(); end > size {
			h.fail("it is cut short: tensor %q ends at byte %d, the file at %d", t.Name, end, size)
		}
		expected += pad(t.Size(), alignment)
	}
}

// Close closes the file.
func (g *File) Close() error { return g.f.Close() }

// Path is where the file was opened.
func (g *File) Path() string { return g.path }

// Tensor describes a tensor; false when there is none of that name.
func (g *File) Tensor(name string) (TensorInfo, bool) {
	i, ok := g.byName[name]
	if !ok {
		return TensorInfo{}, false
	}
	return g.Tensors[i], true
}

// DataOffset is where a tensor's bytes begin in the file.
func (g *File) DataOffset(t TensorInfo) int64 { return g.data + t.Offset }

// ReadFloats fills dst with elements first, first+1, … of a tensor as float32. Blocks that are
// only partly wanted are decoded whole.
func (g *File) ReadFloats(t TensorInfo, first int, dst []float32) error {
	block := t.Type.Block()
	from, to := first/block*block, (first+len(dst)+block-1)/block*block
	if first < 0 || to > t.Len() {
		return fmt.Errorf("reading tensor %q of %q: elements %d to %d of %d", t.Name, g.path, first, first+len(dst), t.Len())
	}
	raw, err := g.f.Bytes(g.data+t.Offset+int64(t.Type.Bytes(from)), int64(t.Type.Bytes(to-from)))
	if err != nil {
		return fmt.Errorf("reading tensor %q of %q: %w", t.Name, g.path, err)
	}
	defer g.f.Release(raw)
	if from == first && to == first+len(dst) {
		t.Type.Decode(dst, raw)
		return nil
	}
	whole := make([]float32, to-from)
	t.Type.Decode(whole, raw)
	copy(dst, whole[first-from:])
	return nil
}

// View is a tensor's bytes as they are in the file, without a copy where files are mapped; it lives until Close.
func (g *File) View(t TensorInfo) ([]byte, error) {
	raw, err := g.f.Bytes(g.data+t.Offset, t.Size())
	if err != nil {
		return nil, fmt.Errorf("reading tensor %q of %q: %w", t.Name, g.path, err)
	}
	return raw, nil
}

// rawChunk is how much of a tensor CopyTo holds.
const rawChunk = 4 << 20

// CopyTo writes a tensor's bytes as they are in the file, a piece at a time, and holds on to none
// of the file.
func (g *File) CopyTo(w io.Writer, t TensorInfo) error {
	for at := int64(0); at < t.Size(); at += rawChunk {
		raw, err := g.f.Bytes(g.data+t.Offset+at, min(rawChunk, t.Size()-at))
		if err == nil {
			_, err = w.Write(raw)
			g.f.Release(raw)
		}
		if err != nil {
			return fmt.Errorf("reading tensor %q of %q: %w", t.Name, g.path, err)
		}
	}
	return nil
}

// headerReader reads little-endian values and panics with a *FormatError, which parse recovers.
// left is how many bytes the file still has: nothing larger is ever allocated.
type headerReader struct {
	r    *bufio.Reader
	left int64
	path string
}

func (h *headerReader) fail(format string, args ...any) {
	panic(&FormatError{h.path, fmt.Sprintf(format, args...)})
}

func (h *headerReader) take(n int64) []byte {
	if n < 0 || n > h.left {
		h.fail("it is cut short: %d more bytes are wanted, %d are there", n, h.left)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(h.r, b); err != nil {
		h.fail("it cannot be read: %v", err)
	}
	h.left -= n
	return b
}

func (h *headerReader) u32() uint32 { return binary.LittleEndian.Uint32(h.take(4)) }
func (h *headerReader) u64() uint64 { return binary.LittleEndian.Uint64(h.take(8)) }

// count reads a number of things that take at least so many bytes each.
func (h *headerReader) count(what string, each int64) int {
	n := h.u64()
	if n > uint64(h.left/each) {
		h.fail("it claims %d %s, more than fit into %d bytes", n, what, h.left)
	}
	return int(n)
}

func (h *headerReader) string() string {
	n := h.u64()
	if n > uint64(h.left) {
		h.fail("it is cut short: a string of %d bytes, %d are there", n, h.left)
	}
	return string(h.take(int64(n)))
}
