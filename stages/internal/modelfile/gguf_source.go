package modelfile

import (
	"fmt"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/quant"
)

// ggufSource gives out a GGUF file's tensors by their Hugging Face names.
type ggufSource struct {
	file   *ggufio.File
	names  []string
	toFile map[string]string
}

func newSource(file *ggufio.File, c *phi3.Config) *ggufSource {
	s := &ggufSource{file: file, toFile: map[string]string{}}
	known := map[string]string{}
	for _, t := range c.Tensors() {
		known[ggufName(t)] = t.Name
	}
	for _, t := range file.Tensors {
		if t.Name == ropeLong || t.Name == ropeShort {
			continue
		}
		name, ok := known[t.Name]
		if !ok {
			name = t.Name // for CheckTensors to report
		}
		s.names = append(s.names, name)
		s.toFile[name] = t.Name
	}
	return s
}

func (s *ggufSource) Names() []string { return s.names }

func (s *ggufSource) Shape(name string) ([]int, bool) {
	t, ok := s.file.Tensor(s.toFile[name])
	if !ok {
		return nil, false
	}
	shape := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		shape[len(shape)-1-i] = d
	}
	return shape, true
}

func (s *ggufSource) ReadFloats(name string, first int, dst []float32) error {
	t, ok := s.file.Tensor(s.toFile[name])
	if !ok {
		return fmt.Errorf("reading tensor %q: %q has none of that name", name, s.file.Path())
	}
	return s.file.ReadFloats(t, first, dst)
}

// View gives out the bytes of a tensor of plain numbers that backends use as they lie.
func (s *ggufSource) View(name string) (dtype string, raw []byte, ok bool) {
	t, ok := s.file.Tensor(s.toFile[name])
	if !ok || t.Type != quant.F32 && t.Type != quant.BF16 {
		return "", nil, false
	}
	raw, err := s.file.View(t)
	return t.Type.String(), raw, err == nil
}

// ViewBlocks gives out the bytes of any other tensor.
func (s *ggufSource) ViewBlocks(name string) (backend.BlockFormat, []byte, bool) {
	t, ok := s.file.Tensor(s.toFile[name])
	if !ok || t.Type == quant.F32 || t.Type == quant.BF16 {
		return backend.BlockFormat{}, nil, false
	}
	raw, err := s.file.View(t)
	block := t.Type.Block()
	return backend.BlockFormat{Name: t.Type.String(), Elements: block, Bytes: t.Type.Bytes(block), Decode: t.Type.Decode}, raw, err == nil
}

var _ phi3.Source = (*ggufSource)(nil)
