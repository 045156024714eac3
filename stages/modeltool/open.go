package modeltool

import (
	"io"
	"os"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// open opens the model at path; what is wrong with it is bad input.
func open(path string) (*modelfile.Model, error) {
	m, err := modelfile.Open(path)
	return m, badInput(err)
}

// openWeights opens a model for uses that need no tokenizer, which its folder may lack.
func openWeights(path string) (*modelfile.Model, io.Closer, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		folder, err := phi3.OpenFolder(path)
		if err != nil {
			return nil, nil, badInput(err)
		}
		return &modelfile.Model{Config: folder.Config, Source: folder}, folder, nil
	}
	m, err := open(path)
	return m, m, err
}

// device is the backend flag that tools which compute share.
type device struct {
	name    string
	threads int
}

func (d *device) define(f *flags) {
	f.StringVar(&d.name, "backend", "auto", "`device`: auto, cpu or cuda")
	f.IntVar(&d.threads, "threads", 0, "`number` of threads; 0: all there are")
}

// network is a model ready to compute. It is for one goroutine.
type network struct {
	*phi3.Runner
	base *phi3.Base
}

// newNetwork puts a model, with the adapter in a folder beside it when adapter is not "", on a
// backend for sequences of up to maxLen tokens.
func newNetwork(be backend.Backend, m *modelfile.Model, adapter string, maxLen int) (*network, error) {
	if err := m.Config.CheckLength(maxLen); err != nil {
		return nil, badInputf("running the model: %w", err)
	}
	var a *so8t.Adapter
	if adapter != "" {
		var err error
		if a, err = so8t.ReadAdapter(adapter); err != nil {
			return nil, badInput(err)
		}
		if err := phi3.CheckAdapter(m.Config, a); err != nil {
			return nil, badInput(err)
		}
	}
	weights, err := phi3.Load(m.Config, m.Source, phi3.StoreNative)
	if err != nil {
		return nil, err
	}
	base, err := phi3.NewBase(be, weights, maxLen)
	if err != nil {
		return nil, err
	}
	runner, err := phi3.NewRunner(base, a)
	if err != nil {
		base.Release()
		return nil, err
	}
	return &network{runner, base}, nil
}

// Release gives the model's memory back.
func (n *network) Release() {
	n.Runner.Release()
	n.base.Release()
}

// open opens the backend that the flags name.
func (d *device) open() (backend.Backend, error) { return compute.Open(d.name, d.threads) }

// discard closes what was only read, whose error would tell nothing.
func discard(c io.Closer) { _ = c.Close() }
