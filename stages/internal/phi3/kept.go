package phi3

import (
	"fmt"
	"sync"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/safetensors"
)

// Kept is a base as training kept it in memory: what was stored in fewer bits comes back with what
// that changed. An adapter was fitted to these weights, not to the file's.
type Kept struct {
	base   Source
	store  Storage
	linear map[string]Tensor // those that are changed

	mu   sync.Mutex
	name string // of the matrix that was read last
	last backend.WeightData
}

// NewKept returns the source, and whether it can differ from the folder.
func NewKept(f *Folder, store Storage) (k *Kept, differs bool) {
	k = &Kept{base: f, store: store, linear: map[string]Tensor{}}
	for _, t := range f.Config.Tensors() {
		switch {
		case t.Role == RoleLinear && (store == StoreInt8 || store == StoreNF4):
			k.linear[t.Name] = t
		case t.Role != RoleNorm && store == StoreBF16 && f.DType(t.Name) != safetensors.BF16:
			k.linear[t.Name] = t
		}
	}
	return k, len(k.linear) > 0
}

// Names, Shape and ReadFloats make Kept a Source.
func (k *Kept) Names() []string { return k.base.Names() }

// Shape of a tensor.
func (k *Kept) Shape(name string) ([]int, bool) { return k.base.Shape(name) }

// ReadFloats reads part of a tensor. The scales of a matrix belong to all of it, so one whole
// matrix is kept in its few bits.
func (k *Kept) ReadFloats(name string, first int, dst []float32) error {
	t, changed := k.linear[name]
	if !changed {
		return k.base.ReadFloats(name, first, dst)
	}
	if first < 0 || first+len(dst) > t.Len() {
		return fmt.Errorf("reading tensor %q: elements %d to %d of %d", name, first, first+len(dst), t.Len())
	}
	d, err := k.load(t)
	if err != nil {
		return err
	}
	for i := range dst {
		dst[i] = valueAt(d, first+i)
	}
	return nil
}

func (k *Kept) load(t Tensor) (backend.WeightData, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.name == t.Name {
		return k.last, nil
	}
	d, err := loadMatrix(k.base, t, k.store)
	if err == nil {
		k.name, k.last = t.Name, d
	}
	return d, err
}

// valueAt is element i of a stored matrix, as every backend widens it.
func valueAt(d backend.WeightData, i int) float32 {
	switch d.Kind {
	case backend.BFloat16:
		return safetensors.BrainToFloat(d.BF16[i])
	case backend.Int8:
		return float32(d.Int8[i]) * d.Scales[i/d.Cols]
	case backend.NF4:
		code := d.NF4[i/2]
		if i%2 == 0 {
			code >>= 4
		}
		return backend.NF4Levels[code&15] * d.NF4Scales.At(i/backend.NF4Block)
	}
	return d.F32[i]
}
