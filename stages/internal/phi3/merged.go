package phi3

import (
	"fmt"

	"github.com/so8t/so8t/stages/internal/so8t"
)

// CheckAdapter compares an adapter with a model and reports all that does not fit.
func CheckAdapter(c *Config, a *so8t.Adapter) error {
	var problems []string
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if a.LoRA != nil {
		known := map[string]Target{}
		for l := range c.Layers {
			for _, m := range Modules {
				known[ModulePath(l, m)] = Target{l, m}
			}
		}
		for _, m := range a.LoRA.Modules {
			t, ok := known[m.Path]
			if !ok {
				bad("module %q is not part of the model", m.Path)
				continue
			}
			out, in := c.ModuleShape(t.Module)
			if m.In != in || m.Out != out {
				bad("module %q is for a layer of %d×%d; the model's is %d×%d", m.Path, m.Out, m.In, out, in)
			}
		}
	}
	if a.Gates != nil {
		for _, g := range a.Gates.Layers {
			if g.Layer < 0 || g.Layer >= c.Layers {
				bad("gate of layer %d: the model has %d layers", g.Layer, c.Layers)
			} else if err := so8t.CheckTheta(g.Theta, c.Hidden); err != nil {
				bad("gate of layer %d: %v", g.Layer, err)
			}
		}
	}
	if problems == nil {
		return nil
	}
	return &InputError{What: "adapter", Problems: limit(problems, 20)}
}

// Merged is a base with an adapter in its weights: LoRA added first, then the gate folded
// into o_proj. It reads and computes in chunks of rows, so that it can be streamed; what
// the adapter does not touch passes through.
type Merged struct {
	Config *Config
	Base   Source

	lora  *so8t.LoRA
	gates map[string][]so8t.Matrix // by tensor name
	paths map[string]string        // tensor name → module path
	fast  *rowMerger               // nil: plain float64 sums
}

// NewMerged checks the adapter against the model.
func NewMerged(c *Config, base Source, a *so8t.Adapter) (*Merged, error) {
	if err := CheckAdapter(c, a); err != nil {
		return nil, err
	}
	m := &Merged{Config: c, Base: base, lora: a.LoRA, gates: map[string][]so8t.Matrix{}, paths: map[string]string{}}
	for l := range c.Layers {
		for _, module := range Modules {
			m.paths[moduleName(l, module)] = ModulePath(l, module)
		}
		if theta := a.Gates.Find(l); theta != nil {
			m.gates[moduleName(l, O)] = so8t.Rotations(theta)
		}
	}
	return m, nil
}

// Names, Shape and ReadFloats make Merged a Source.
func (m *Merged) Names() []string { return m.Base.Names() }

// Shape of a tensor.
func (m *Merged) Shape(name string) ([]int, bool) { return m.Base.Shape(name) }

// View passes tensors on that the adapter does not touch.
func (m *Merged) View(name string) (string, []byte, bool) {
	if v, ok := m.Base.(viewer); ok && !m.Touches(name) {
		return v.View(name)
	}
	return "", nil, false
}

// Touches reports whether the adapter changes a tensor.
func (m *Merged) Touches(name string) bool { return m.Folds(name) || m.Merges(name) }

// Folds reports whether a gate is folded into a tensor.
func (m *Merged) Folds(name string) bool { return m.gates[name] != nil }

// Merges reports whether a LoRA is added to a tensor.
func (m *Merged) Merges(name string) bool { return m.lora.Find(m.paths[name]) != nil }

// ReadFloats reads part of a merged tensor. A read that does not begin and end at whole
// blocks of 8 rows costs the rows around it.
func (m *Merged) ReadFloats(name string, first int, dst []float32) error {
	if !m.Touches(name) || len(dst) == 0 {
		return m.Base.ReadFloats(name, first, dst)
	}
	shape, ok := m.Base.Shape(name)
	if !ok || len(shape) != 2 || first < 0 || first+len(dst) > shape[0]*shape[1] {
		return fmt.Errorf("reading merged tensor %q: elements %d to %d of shape %v", name, first, first+len(dst), shape)
	}
	cols := shape[1]
	from := first / cols / so8t.Block * so8t.Block
	to := min((first+len(dst)+cols*so8t.Block-1)/(cols*so8t.Block)*so8t.Block, shape[0])
	rows := dst
	exact := from*cols == first && to*cols == first+len(dst)
	if !exact {
		rows = make([]float32, (to-from)*cols)
	}
	if err := m.Base.ReadFloats(name, from*cols, rows); err != nil {
		return err
	}
	if err := m.apply(name, from, to, cols, rows); err != nil {
		return fmt.Errorf("reading merged tensor %q: %w", name, err)
	}
	if !exact {
		copy(dst, rows[first-from*cols:])
	}
	return nil
}

// apply merges and folds rows [from, to) of a tensor in place.
func (m *Merged) apply(name string, from, to, cols int, rows []float32) error {
	if l := m.lora.Find(m.paths[name]); l != nil {
		r := m.lora.Rank
		b := l.B[from*r : to*r]
		var err error
		if m.fast != nil {
			err = m.fast.add(rows, l, b, r, m.lora.Scale())
		} else {
			err = so8t.MergeRows(rows, l.A, b, cols, r, m.lora.Scale())
		}
		if err != nil {
			return err
		}
	}
	if g := m.gates[name]; g != nil {
		return so8t.FoldRows(g[from/so8t.Block:to/so8t.Block], rows, cols)
	}
	return nil
}
