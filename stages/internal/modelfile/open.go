// Package modelfile opens a model that is to be used: a Hugging Face folder or a GGUF file, as
// the same thing, with its configuration, its tensors and its tokenizer; and writes GGUF files
// of the phi3 architecture.
package modelfile

import (
	"fmt"
	"os"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/quant"
)

// Model is an open model: what inference needs.
type Model struct {
	Config   *phi3.Config
	Source   phi3.Source
	Template *chat.Template
	close    func() error
}

// Open opens a Hugging Face folder or a GGUF file.
func Open(path string) (*Model, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening model: %w", err)
	}
	if info.IsDir() {
		return openFolder(path)
	}
	return openGGUF(path)
}

func openFolder(dir string) (*Model, error) {
	folder, err := phi3.OpenFolder(dir)
	if err != nil {
		return nil, err
	}
	template, err := chat.Open(dir)
	if err != nil {
		_ = folder.Close()
		return nil, err
	}
	return &Model{folder.Config, folder, template, folder.Close}, nil
}

func openGGUF(path string) (*Model, error) {
	file, err := ggufio.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := fromGGUF(file)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return m, nil
}

func fromGGUF(file *ggufio.File) (*Model, error) {
	config, err := configOf(file)
	if err != nil {
		return nil, err
	}
	source := newSource(file, config)
	if err := phi3.CheckTensors(config, source, fmt.Sprintf("model %q", file.Path())); err != nil {
		return nil, err
	}
	template, err := templateOf(file)
	if err != nil {
		return nil, err
	}
	return &Model{config, source, template, file.Close}, nil
}

// Held is how phi3.StoreNative holds the matrices, and the bytes of all weights: of a GGUF file what the file has.
func (m *Model) Held() (kind backend.Kind, bytes int64) {
	if s, ok := m.Source.(*ggufSource); ok {
		for _, t := range s.file.Tensors {
			bytes += t.Size()
			if t.Type != quant.F32 {
				kind = backend.Blocks
			}
		}
		return kind, bytes
	}
	width := m.Config.NativeBytes()
	if width == 2 {
		kind = backend.BFloat16
	}
	return kind, m.Config.WeightBytes(phi3.StoreNative, width)
}

// Close closes the files.
func (m *Model) Close() error { return m.close() }
