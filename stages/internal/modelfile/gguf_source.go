package modelfile

import (
	"fmt"

	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/phi3"
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

var _ phi3.Source = (*ggufSource)(nil)
