package gguf

import (
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// runner is a model that computes.
type runner struct {
	*phi3.Runner
	base *phi3.Base
}

// load takes a model, with an adapter or without, for sequences of up to maxLen tokens.
func (r *runner) load(be backend.Backend, m *modelfile.Model, a *so8t.Adapter, maxLen int) error {
	weights, err := phi3.Load(m.Config, m.Source, phi3.StoreNative)
	if err != nil {
		return err
	}
	if r.base, err = phi3.NewBase(be, weights, maxLen); err != nil {
		return err
	}
	r.Runner, err = phi3.NewRunner(r.base, a)
	return err
}

// release gives the memory back.
func (r *runner) release() {
	if r.Runner != nil {
		r.Runner.Release()
	}
	if r.base != nil {
		r.base.Release()
	}
}
