package ggufio

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"reflect"
)

// Writer writes a file front to back: the header when it is made, then each tensor's bytes, in
// the order of the table. The same calls give the same bytes.
type Writer struct {
	w       *bufio.Writer
	tensors []TensorInfo
	next    int
	left    int64 // bytes still to come of tensor next-1
	at      int64 // bytes written of the data section
	err     error
}

// NewWriter writes the header. Offsets of the tensors are set here; those given are ignored.
func NewWriter(w io.Writer, metadata []KV, tensors []TensorInfo) (*Writer, error) {
	out := &Writer{w: bufio.NewWriterSize(w, 1<<20), tensors: append([]TensorInfo(nil), tensors...)}
	h := &headerWriter{w: out.w}
	h.bytes([]byte(magic))
	h.number(uint32(version))
	h.number(uint64(len(tensors)))
	h.number(uint64(len(metadata)))
	for _, kv := range metadata {
		h.string(kv.Key)
		h.value(kv.Key, kv.Value)
	}
	var offset int64
	for i := range out.tensors {
		t := &out.tensors[i]
		if len(t.Name) >= maxName || len(t.Dims) > maxDims || len(t.Dims) == 0 || t.Dims[0]%t.Type.Block() != 0 {
			return nil, fmt.Errorf("writing GGUF: tensor %q of %v %v does not fit the format", t.Name, t.Dims, t.Type)
		}
		t.Offset = offset
		h.tensor(*t)
		offset += pad(t.Size(), defaultAlignment)
	}
	h.bytes(make([]byte, pad(h.n, defaultAlignment)-h.n))
	if h.err != nil {
		return nil, fmt.Errorf("writing GGUF header: %w", h.err)
	}
	return out, nil
}

// Begin starts the next tensor; its bytes follow with Write.
func (w *Writer) Begin(name string) error {
	if w.err == nil && (w.left != 0 || w.next >= len(w.tensors) || w.tensors[w.next].Name != name) {
		w.err = fmt.Errorf("writing GGUF: tensor %q is out of order", name)
	}
	if w.err != nil {
		return w.err
	}
	w.left = w.tensors[w.next].Size()
	w.next++
	return nil
}

// Write adds bytes to the tensor that Begin named, and padding behind its last one.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err == nil && int64(len(p)) > w.left {
		w.err = fmt.Errorf("writing GGUF: tensor %q gets too many bytes", w.tensors[w.next-1].Name)
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.w.Write(p)
	w.at += int64(n)
	w.left -= int64(n)
	if err == nil && w.left == 0 {
		var padding int
		padding, err = w.w.Write(make([]byte, pad(w.at, defaultAlignment)-w.at))
		w.at += int64(padding)
	}
	w.err = err
	return n, err
}

// WriteFloats encodes src as elements of the type of the tensor in progress and writes them.
func (w *Writer) WriteFloats(src []float32) error {
	t := w.tensors[w.next-1].Type
	buffer := make([]byte, t.Bytes(len(src)))
	t.Encode(buffer, src)
	_, err := w.Write(buffer)
	return err
}

// Close ends the file; it does not close the underlying writer.
func (w *Writer) Close() error {
	if w.err == nil && (w.next != len(w.tensors) || w.left != 0) {
		w.err = fmt.Errorf("writing GGUF: %d of %d tensors are complete", w.next, len(w.tensors))
	}
	if w.err != nil {
		return w.err
	}
	return w.w.Flush()
}

// headerWriter writes little-endian values and remembers the first error.
type headerWriter struct {
	w   io.Writer
	n   int64
	err error
}

func (h *headerWriter) bytes(p []byte) {
	if h.err == nil {
		_, h.err = h.w.Write(p)
		h.n += int64(len(p))
	}
}

func (h *headerWriter) number(v any) {
	if h.err == nil {
		h.err = binary.Write(h.w, binary.LittleEndian, v)
		h.n += int64(binary.Size(v))
	}
}

func (h *headerWriter) string(s string) {
	h.number(uint64(len(s)))
	h.bytes([]byte(s))
}

func (h *headerWriter) value(key string, v any) {
	if s := reflect.ValueOf(v); s.Kind() == reflect.Slice {
		h.array(key, s)
		return
	}
	t, ok := valueType(v)
	if !ok {
		h.fail("metadata %q has a value of type %T", key, v)
		return
	}
	h.number(uint32(t))
	h.scalar(v)
}

func (h *headerWriter) array(key string, s reflect.Value) {
	t, ok := valueType(reflect.Zero(s.Type().Elem()).Interface())
	if !ok {
		h.fail("metadata %q has elements of type %v", key, s.Type().Elem())
		return
	}
	h.number(uint32(typeArray))
	h.number(uint32(t))
	h.number(uint64(s.Len()))
	for i := range s.Len() {
		h.scalar(s.Index(i).Interface())
	}
}

func (h *headerWriter) scalar(v any) {
	switch v := v.(type) {
	case string:
		h.string(v)
	case float32:
		h.number(math.Float32bits(v))
	default:
		h.number(v)
	}
}

func (h *headerWriter) tensor(t TensorInfo) {
	h.string(t.Name)
	h.number(uint32(len(t.Dims)))
	for _, d := range t.Dims {
		h.number(uint64(d))
	}
	h.number(uint32(t.Type))
	h.number(uint64(t.Offset))
}

func (h *headerWriter) fail(format string, args ...any) {
	if h.err == nil {
		h.err = fmt.Errorf(format, args...)
	}
}

func valueType(v any) (int, bool) {
	switch v.(type) {
	case uint8:
		return typeU8, true
	case int8:
		return typeI8, true
	case uint16:
		return typeU16, true
	case int16:
		return typeI16, true
	case uint32:
		return typeU32, true
	case int32:
		return typeI32, true
	case float32:
		return typeF32, true
	case bool:
		return typeBool, true
	case string:
		return typeString, true
	case uint64:
		return typeU64, true
	case int64:
		return typeI64, true
	case float64:
		return typeF64, true
	}
	return 0, false
}
