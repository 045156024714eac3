package gguf

import (
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/baked"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// material is what a file is made of, and what it must be like.
type material struct {
	*modelfile.Model // of the folder, or of the base that is merged
	source           phi3.Source
	// proven are the digests that a bake gave the source's tensors; nil: the folder is what it is.
	proven map[string]string
	// reference is what the file's predictions are compared with: the base with its adapter, or the
	// folder.
	reference phi3.Side
	close     []func() error
}

// open opens the folder, or the base and what is to be merged into it.
func (c Config) open() (m *material, err error) {
	m = &material{}
	defer func() {
		if err != nil {
			m.Close()
			m, err = nil, plugins.Errorf(plugins.BadInput, "%w", err)
		}
	}()
	path := c.Model
	if path == "" {
		path = c.Base
	}
	if m.Model, err = m.opened(path); err != nil {
		return m, err
	}
	m.source, m.reference = m.Source, phi3.Side{Source: m.Source}
	if c.Adapter == "" {
		return m, nil
	}
	base := m.Model
	if c.Model != "" {
		if base, err = m.opened(c.Base); err != nil {
			return m, err
		}
	}
	adapter, err := so8t.ReadAdapter(c.Adapter)
	if err != nil {
		return m, err
	}
	if err := phi3.CheckAdapter(base.Config, adapter); err != nil {
		return m, err
	}
	m.reference = phi3.Side{Source: base.Source, Adapter: adapter}
	if c.Model != "" {
		return m, sameShape(base.Config, m.Config)
	}
	return m, m.merge(c.Bake, adapter)
}

// opened opens a model that is closed with the material.
func (m *material) opened(path string) (*modelfile.Model, error) {
	model, err := modelfile.Open(path)
	if err == nil {
		m.close = append(m.close, model.Close)
	}
	return model, err
}

// merge makes the source the weights that a bake proved.
func (m *material) merge(report string, adapter *so8t.Adapter) error {
	recipe, err := baked.Read(report)
	if err != nil {
		return err
	}
	folder, ok := m.Source.(*phi3.Folder)
	if !ok {
		return plugins.Errorf(plugins.BadInput, "base: an adapter is merged into a Hugging Face folder, not into a GGUF file")
	}
	merged, err := recipe.Source(folder, adapter)
	if err != nil {
		return err
	}
	m.source, m.proven = merged, recipe.Tensors
	m.reference.Source = merged.Base // what the adapter was merged onto
	return nil
}

// Close closes the files.
func (m *material) Close() {
	for _, end := range m.close {
		_ = end() // they were only read
	}
}

// check compares what was written with what was proven.
func (m *material) check(written map[string]modelfile.TensorRecord, names map[string]string) error {
	if m.proven == nil {
		return nil
	}
	if len(m.proven) != len(written) {
		return plugins.Errorf(plugins.BadInput, "the bake proved %d tensors, the model has %d: base is another than was baked", len(m.proven), len(written))
	}
	for name, t := range written {
		if m.proven[names[name]] != t.Source {
			return plugins.Errorf(plugins.BadInput, "tensor %q is not the one that the bake proved: base or adapter are others than were baked, or an older program baked them; run the bake stage again", names[name])
		}
	}
	return nil
}
