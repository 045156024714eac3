package phi3

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/so8t"
	"github.com/so8t/so8t/stages/internal/tensor"
)

// Adapter downloads what was trained beside the frozen base. base names the model it
// belongs to in adapter_config.json.
func (m *Model) Adapter(base string) *so8t.Adapter {
	out := &so8t.Adapter{}
	if len(m.lora) > 0 {
		out.LoRA = &so8t.LoRA{Rank: m.adapter.Rank, Alpha: m.adapter.Alpha, RankStab: m.adapter.RankStab,
			Dropout: m.adapter.Dropout, Targets: m.adapter.Targets, Base: base}
		for i := 0; i < len(m.lora); i += 2 {
			a, b := m.lora[i], m.lora[i+1]
			out.LoRA.Modules = append(out.LoRA.Modules, so8t.Module{
				Path: strings.TrimSuffix(a.Name, ".lora_A"), In: a.Tensor().Cols(), Out: b.Tensor().Rows(),
				A: m.download(a), B: m.download(b),
			})
		}
	}
	for i := range m.layers {
		if g := m.layers[i].gate; g != nil {
			if out.Gates == nil {
				out.Gates = &so8t.Gates{Hidden: m.Config.Hidden}
			}
			out.Gates.Layers = append(out.Gates.Layers, so8t.Gate{Layer: i, Theta: m.download(*g)})
		}
	}
	return out
}

func (m *Model) download(p tensor.Param) []float32 {
	out := make([]float32, p.Tensor().Size())
	m.be.Download(out, p.Tensor().Buffer())
	return out
}

// Weights downloads a model that was trained as a whole.
func (m *Model) Weights() (*Weights, error) {
	if len(m.base) == 0 {
		return nil, fmt.Errorf("downloading weights: the base of this model is frozen")
	}
	s := hostSource{}
	for _, p := range m.base {
		s[p.Name] = m.download(p)
	}
	if err := m.be.Err(); err != nil {
		return nil, err
	}
	return Load(m.Config, s, StoreF32)
}

// hostSource serves tensors from memory; shapes are the configuration's.
type hostSource map[string][]float32

func (hostSource) Names() []string            { return nil }
func (hostSource) Shape(string) ([]int, bool) { return nil, false }

func (s hostSource) ReadFloats(name string, first int, dst []float32) error {
	copy(dst, s[name][first:])
	return nil
}

// NewWeights draws a model to be trained from scratch: N(0, InitRange), the two
// projections that write to the residual stream divided by √(2·layers) (GPT-2), norms 1.
func NewWeights(c *Config, seed uint64) (*Weights, error) {
	if p := c.problems(); p != nil {
		return nil, &InputError{What: "new model", Problems: p}
	}
	s := hostSource{}
	for _, t := range c.Tensors() {
		v := make([]float32, t.Len())
		rng, std := rand.New(rand.NewPCG(seed, nameHash(t.Name))), c.InitStd(t)
		for i := range v {
			if t.Role == RoleNorm {
				v[i] = 1
				continue
			}
			v[i] = float32(rng.NormFloat64() * std)
		}
		s[t.Name] = v
	}
	return Load(c, s, StoreF32)
}

// floats is a tensor of weights that are kept as f32.
func (w *Weights) floats(t Tensor) ([]float32, error) {
	d := backend.WeightData{F32: w.Norm, Kind: backend.Float32}
	switch {
	case t.Role == RoleEmbedding:
		d = w.Embed
	case t.Role == RoleHead:
		d = w.Head
	case t.Layer >= 0 && t.Name == inputNormName(t.Layer):
		d.F32 = w.Layers[t.Layer].InputNorm
	case t.Layer >= 0 && t.Name == postNormName(t.Layer):
		d.F32 = w.Layers[t.Layer].PostNorm
	case t.Layer >= 0:
		for _, module := range Modules {
			if t.Name == moduleName(t.Layer, module) {
				d = *w.Layers[t.Layer].Module(module)
			}
		}
	}
	if d.Kind != backend.Float32 {
		return nil, fmt.Errorf("tensor %q is stored as %s", t.Name, d.Kind)
	}
	return d.F32, nil
}

// WriteFolder writes config.json and safetensors as transformers loads them. dtype is
// "float32", "float16" or "bfloat16".
func (w *Weights) WriteFolder(dir, dtype string) error {
	types := map[string]safetensors.DType{"float32": safetensors.F32, "float16": safetensors.F16, "bfloat16": safetensors.BF16}
	d, ok := types[dtype]
	if !ok {
		return fmt.Errorf("writing model: dtype %q is none of float32, float16, bfloat16", dtype)
	}
	var list []safetensors.Tensor
	for _, t := range w.Config.Tensors() {
		v, err := w.floats(t)
		if err != nil {
			return fmt.Errorf("writing model: %w", err)
		}
		list = append(list, safetensors.FromFloats(t.Name, d, t.Shape, v))
	}
	if err := safetensors.WriteFolder(dir, list, nil, maxShardBytes); err != nil {
		return fmt.Errorf("writing model: %w", err)
	}
	text, err := w.Config.MarshalConfig(dtype)
	if err != nil {
		return fmt.Errorf("writing model: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644); err != nil {
		return fmt.Errorf("writing model: %w", err)
	}
	return nil
}

// maxShardBytes is the size of a shard, as transformers cuts them.
const maxShardBytes = 5_000_000_000
