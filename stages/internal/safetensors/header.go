package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
)

// maxHeader is the format's own limit on the JSON header, in bytes.
const maxHeader = 100_000_000

// Info describes one tensor of a file.
type Info struct {
	Name  string
	DType DType
	// Shape, row-major; nil for a scalar.
	Shape []int
	// Offset of the first byte in the file, and the number of bytes.
	Offset, Size int64
}

// Len returns the number of elements.
func (i Info) Len() int {
	n := 1
	for _, d := range i.Shape {
		n *= d
	}
	return n
}

type header struct {
	tensors  []Info // in file order
	metadata map[string]string
}

// readHeader reads and verifies the header of a file of size bytes. It allocates no more
// than the header takes in the file.
func readHeader(r io.ReaderAt, size int64) (*header, error) {
	if size < 8 {
		return nil, fmt.Errorf("truncated: %d bytes, and a safetensors file begins with 8 bytes of header length", size)
	}
	var n8 [8]byte
	if _, err := r.ReadAt(n8[:], 0); err != nil {
		return nil, fmt.Errorf("reading the header's length: %w", err)
	}
	n := binary.LittleEndian.Uint64(n8[:])
	if n > maxHeader {
		return nil, fmt.Errorf("not a safetensors file: header of %d bytes, at most %d are allowed", n, maxHeader)
	}
	if n > uint64(size-8) {
		return nil, fmt.Errorf("truncated: header of %d bytes announced, %d are there", n, size-8)
	}
	raw := make([]byte, n)
	if _, err := r.ReadAt(raw, 8); err != nil && !(errors.Is(err, io.EOF) && n == 0) {
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	if len(raw) == 0 || raw[0] != '{' {
		return nil, errors.New("not a safetensors file: the header does not begin with '{'")
	}
	h, err := parseHeader(raw)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return h, h.place(8+int64(n), size)
}

// parseHeader decodes the JSON by tokens, because a map would hide duplicate names.
func parseHeader(raw []byte) (*header, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	h := &header{}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name := t.(string) // a key of an object
		if seen[name] {
			return nil, fmt.Errorf("name %q twice", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			if err := d.Decode(&h.metadata); err != nil {
				return nil, fmt.Errorf("metadata: %w", err)
			}
			continue
		}
		info, err := parseTensor(d, name)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		h.tensors = append(h.tensors, info)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if rest := bytes.TrimRight(raw[d.InputOffset():], " "); len(rest) > 0 {
		return nil, errors.New("text after the JSON object")
	}
	return h, nil
}

func parseTensor(d *json.Decoder, name string) (Info, error) {
	var e struct {
		DType   *DType    `json:"dtype"`
		Shape   *[]uint64 `json:"shape"`
		Offsets *[]uint64 `json:"data_offsets"`
	}
	if err := d.Decode(&e); err != nil {
		return Info{}, err
	}
	if e.DType == nil || e.Shape == nil || e.Offsets == nil || len(*e.Offsets) != 2 {
		return Info{}, errors.New("dtype, shape and two data_offsets are needed")
	}
	width := e.DType.Bits()
	if width == 0 {
		return Info{}, fmt.Errorf("unknown dtype %q", string(*e.DType))
	}
	begin, end := (*e.Offsets)[0], (*e.Offsets)[1]
	if begin > end || end > 1<<62 {
		return Info{}, fmt.Errorf("data_offsets %d, %d", begin, end)
	}
	total := uint64(width)
	info := Info{Name: name, DType: *e.DType}
	for _, dim := range *e.Shape {
		hi, lo := bits.Mul64(total, dim)
		if hi != 0 || dim > 1<<40 {
			return Info{}, fmt.Errorf("shape %v overflows", *e.Shape)
		}
		total = lo
		info.Shape = append(info.Shape, int(dim))
	}
	if total%8 != 0 || total/8 != end-begin {
		return Info{}, fmt.Errorf("%s of shape %v takes %d bits, data_offsets span %d bytes", *e.DType, *e.Shape, total, end-begin)
	}
	info.Offset, info.Size = int64(begin), int64(end-begin)
	return info, nil
}

// place turns offsets into file offsets and checks that the tensors tile the data
// exactly: no overlap, no hole, nothing missing, nothing left over.
func (h *header) place(dataStart, size int64) error {
	slices.SortStableFunc(h.tensors, func(a, b Info) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Size, b.Size))
	})
	var end int64
	for i := range h.tensors {
		t := &h.tensors[i]
		if t.Offset != end {
			what := "leaves a hole before it"
			if t.Offset < end {
				what = "overlaps the one before it"
			}
			return fmt.Errorf("header: tensor %q begins at byte %d, %d expected: it %s", t.Name, t.Offset, end, what)
		}
		end += t.Size
		t.Offset += dataStart
	}
	switch have := size - dataStart; {
	case have < end:
		return fmt.Errorf("truncated: tensors take %d bytes, %d are there", end, have)
	case have > end:
		return fmt.Errorf("%d bytes after the last tensor", have-end)
	}
	return nil
}
