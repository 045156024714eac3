package phi3

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/safetensors"
)

// Source gives out a model's tensors by their Hugging Face names. A folder of
// safetensors is one; a GGUF file, or a base with its adapter merged, can be others.
type Source interface {
	Names() []string
	// Shape of a tensor; false when there is none of that name.
	Shape(name string) ([]int, bool)
	// ReadFloats fills dst with elements first, first+1, … as float32. It is called from
	// several goroutines at once.
	ReadFloats(name string, first int, dst []float32) error
}

// viewer is what a Source may offer besides: a tensor's own bytes without a copy.
// dtype is as in safetensors; the bytes are little-endian and live as long as the source.
type viewer interface {
	View(name string) (dtype string, raw []byte, ok bool)
}

// blocksViewer is what a Source may offer besides: the bytes of a tensor that lies in blocks, without a copy. They
// live as long as the source.
type blocksViewer interface {
	ViewBlocks(name string) (format backend.BlockFormat, raw []byte, ok bool)
}

// Folder is a Hugging Face folder: configuration and open weights.
type Folder struct {
	Config *Config
	set    *safetensors.Set
}

// OpenFolder reads DIR/config.json and opens DIR's safetensors, one file or shards, and
// compares the tensors with what the configuration says.
func OpenFolder(dir string) (*Folder, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	set, err := safetensors.Open(dir)
	if err != nil {
		return nil, &InputError{What: fmt.Sprintf("model %q", dir), Cause: err,
			Problems: []string{fmt.Sprintf("%v; the folder is incomplete or a download was cut off: download it again", err)}}
	}
	f := &Folder{Config: c, set: set}
	if err := CheckTensors(c, f, fmt.Sprintf("model %q", filepath.Clean(dir))); err != nil {
		_ = set.Close()
		return nil, err
	}
	if c.DType == "" { // config.json need not say it
		info, _ := set.Info(embedName)
		c.DType = dtypeNames[info.DType]
	}
	return f, nil
}

// dtypeNames are config.json's names for the types of safetensors.
var dtypeNames = map[safetensors.DType]string{safetensors.F32: "float32", safetensors.F16: "float16", safetensors.BF16: "bfloat16"}

// Close releases the files; weights that were loaded without a copy end here.
func (f *Folder) Close() error { return f.set.Close() }

// Names, Shape and ReadFloats make Folder a Source.
func (f *Folder) Names() []string { return f.set.Names() }

// Shape of a tensor.
func (f *Folder) Shape(name string) ([]int, bool) {
	info, ok := f.set.Info(name)
	return info.Shape, ok
}

// ReadFloats reads part of a tensor as float32.
func (f *Folder) ReadFloats(name string, first int, dst []float32) error {
	return f.set.ReadFloats(name, first, dst)
}

// DType is a tensor's type in the file.
func (f *Folder) DType(name string) safetensors.DType {
	info, _ := f.set.Info(name)
	return info.DType
}

// CopyTo writes a tensor's bytes as they are in the file.
func (f *Folder) CopyTo(w io.Writer, name string) error { return f.set.CopyTo(w, name) }

// View gives out a tensor's bytes as they are in the file.
func (f *Folder) View(name string) (string, []byte, bool) {
	info, ok := f.set.Info(name)
	if !ok {
		return "", nil, false
	}
	raw, err := f.set.Bytes(name)
	return string(info.DType), raw, err == nil
}

// CheckTensors compares a source with a configuration and reports everything that is
// missing, misshaped or not understood.
func CheckTensors(c *Config, s Source, what string) error {
	var problems []string
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	expected := map[string]bool{}
	for _, t := range c.Tensors() {
		expected[t.Name] = true
		shape, ok := s.Shape(t.Name)
		switch {
		case !ok:
			bad("tensor %q is missing", t.Name)
		case !slices.Equal(shape, t.Shape):
			bad("tensor %q has shape %v; config.json says %v", t.Name, shape, t.Shape)
		}
	}
	for _, name := range s.Names() {
		switch {
		case expected[name], strings.HasSuffix(name, ".rotary_emb.inv_freq"):
		case name == headName && c.TiedEmbeddings:
			if !sameTensor(c, s) {
				bad("tensor %q differs from the embeddings though tie_word_embeddings is true: set it to false", name)
			}
		case strings.Contains(name, ".q_proj.") || strings.Contains(name, ".gate_proj."):
			bad("tensor %q: projections are stored apart; Phi-3's fused qkv_proj and gate_up_proj are needed", name)
		default:
			bad("tensor %q is not part of a Phi-3 model", name)
		}
	}
	if problems == nil {
		return nil
	}
	return &InputError{What: what, Problems: limit(problems, 20)}
}

// limit keeps a list readable.
func limit(problems []string, n int) []string {
	if len(problems) <= n {
		return problems
	}
	return append(problems[:n:n], fmt.Sprintf("and %d more", len(problems)-n))
}

// sameTensor reports whether a superfluous lm_head equals the embeddings.
func sameTensor(c *Config, s Source) bool {
	shape, _ := s.Shape(headName)
	if !slices.Equal(shape, []int{c.Vocab, c.Hidden}) {
		return false
	}
	chunk := min(c.Vocab, 256) * c.Hidden
	a, b := make([]float32, chunk), make([]float32, chunk)
	for at := 0; at < c.Vocab*c.Hidden; at += chunk {
		n := min(chunk, c.Vocab*c.Hidden-at)
		if s.ReadFloats(embedName, at, a[:n]) != nil || s.ReadFloats(headName, at, b[:n]) != nil || !slices.Equal(a[:n], b[:n]) {
			return false
		}
	}
	return true
}

// viewF32 and viewBF16 alias little-endian bytes as numbers; nil when they are not
// aligned or the machine is big-endian.
func viewF32(raw []byte) []float32 {
	if len(raw) == 0 || !littleEndian || uintptr(unsafe.Pointer(&raw[0]))%4 != 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&raw[0])), len(raw)/4)
}

func viewBF16(raw []byte) []uint16 {
	if len(raw) == 0 || !littleEndian || uintptr(unsafe.Pointer(&raw[0]))%2 != 0 {
		return nil
	}
	return unsafe.Slice((*uint16)(unsafe.Pointer(&raw[0])), len(raw)/2)
}

var littleEndian = func() bool {
	x := uint16(1)
	return *(*byte)(unsafe.Pointer(&x)) == 1
}()
