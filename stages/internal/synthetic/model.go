// Package synthetic makes models of random numbers with the shapes, the vocabulary and the files
// of real ones: to measure what a stage takes at full size without anybody's weights. The same
// configuration and seed give the same bytes.
package synthetic

import (
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"

	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/so8t"
	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// shardBytes is the size of a shard, as transformers cuts them.
const shardBytes = 5_000_000_000

// spread is the standard deviation of the norms' gains around 1: were all 1, a gain that is
// forgotten would not show.
const spread = 0.1

// WriteFolder writes a Hugging Face folder in bf16. Phi-4-mini's takes 7.7 GB of disk and a few
// megabytes of memory.
func WriteFolder(dir string, c *phi3.Config, seed uint64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("writing a synthetic model: %w", err)
	}
	file, err := vocabulary(c.Vocab)
	if err != nil {
		return fmt.Errorf("writing a synthetic model: %w", err)
	}
	config, err := c.MarshalConfig("bfloat16")
	if err != nil {
		return fmt.Errorf("writing a synthetic model: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), file, 0o644); err != nil {
		return fmt.Errorf("writing a synthetic model: %w", err)
	}
	tok, err := tokenizer.Open(dir)
	if err != nil {
		return fmt.Errorf("writing a synthetic model: %w", err)
	}
	if err := chat.WriteFolder(dir, file, tok, c.MaxPositions); err != nil {
		return err
	}
	// config.json last: a folder that has one is complete.
	if err := safetensors.WriteFolder(dir, tensors(c, seed), nil, shardBytes); err != nil {
		return fmt.Errorf("writing a synthetic model: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644); err != nil {
		return fmt.Errorf("writing a synthetic model: %w", err)
	}
	return nil
}

// tensors of the model; matrices of one deviation share their noise.
func tensors(c *phi3.Config, seed uint64) (list []safetensors.Tensor) {
	gains, weights := newNoise(1, spread), map[float64]noise{}
	for _, t := range c.Tensors() {
		source, std := gains, c.InitStd(t)
		if t.Role != phi3.RoleNorm {
			if weights[std] == nil {
				weights[std] = newNoise(0, std)
			}
			source = weights[std]
		}
		list = append(list, safetensors.Tensor{Name: t.Name, DType: safetensors.BF16, Shape: t.Shape, WriteTo: func(w io.Writer) error {
			return source.writeTo(w, sequence(seed, t.Name), t.Len())
		}})
	}
	return list
}

// sequence is where the numbers of a name begin.
func sequence(seed uint64, name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return mix(h.Sum64() ^ mix(seed+golden))
}

// WriteAdapter writes a LoRA of the given rank on every projection and a gate on every layer, as
// after a training that went well: both change the model and break nothing.
func WriteAdapter(dir string, c *phi3.Config, rank int, seed uint64) error {
	a := &so8t.Adapter{
		LoRA:  &so8t.LoRA{Rank: rank, Alpha: float64(2 * rank), Targets: phi3.Modules, Base: "synthetic"},
		Gates: &so8t.Gates{Hidden: c.Hidden},
	}
	downs, ups, angles := newNoise(0, 0.02), newNoise(0, 0.002), newNoise(0, 0.1)
	for layer := range c.Layers {
		for _, module := range phi3.Modules {
			path := phi3.ModulePath(layer, module)
			out, in := c.ModuleShape(module)
			a.LoRA.Modules = append(a.LoRA.Modules, so8t.Module{Path: path, In: in, Out: out,
				A: downs.floats(sequence(seed, path+".A"), rank*in), B: ups.floats(sequence(seed, path+".B"), out*rank)})
		}
		theta := angles.floats(sequence(seed, fmt.Sprintf("gate %d", layer)), c.Hidden/so8t.Block*so8t.Params)
		a.Gates.Layers = append(a.Gates.Layers, so8t.Gate{Layer: layer, Theta: theta})
	}
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = so8t.WriteAdapter(dir, a)
	}
	if err != nil {
		return fmt.Errorf("writing a synthetic adapter: %w", err)
	}
	return nil
}
