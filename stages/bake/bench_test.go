package bake

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// wide writes a bf16 base of about half a gigabyte: a layer and a part of the vocabulary of
// Phi-4-mini.
func wide(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	tiny, err := phi3.ReadConfig(base)
	if err != nil {
		b.Fatal(err)
	}
	c := *tiny
	c.Hidden, c.Layers, c.Heads, c.KVHeads, c.HeadDim, c.Intermediate, c.Vocab, c.Rope = 3072, 1, 24, 8, 128, 8192, 50016, nil
	rng, noise := rand.New(rand.NewPCG(1, 2)), make([]float32, 1<<20)
	for i := range noise {
		noise[i] = float32(rng.NormFloat64() * 0.02)
	}
	var list []safetensors.Tensor
	for _, t := range c.Tensors() {
		list = append(list, safetensors.Tensor{Name: t.Name, DType: safetensors.BF16, Shape: t.Shape, WriteTo: func(w io.Writer) error {
			for left := t.Len(); left > 0; left -= len(noise) {
				if err := safetensors.WriteFloats(w, safetensors.BF16, noise[:min(left, len(noise))]); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	if err := safetensors.WriteFolder(dir, list, nil, shardBytes); err != nil {
		b.Fatal(err)
	}
	text, err := c.MarshalConfig("bfloat16")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
	return dir
}

// BenchmarkModelWriter_Copy is a bake that computes nothing, beside a copy and sync of the same
// file: share-of-copy must be at least 0.7. Both write to the same disk in turn.
func BenchmarkModelWriter_Copy(b *testing.B) {
	from := wide(b)
	folder, err := phi3.OpenFolder(from)
	if err != nil {
		b.Fatal(err)
	}
	defer folder.Close()
	merged, err := phi3.NewMerged(folder.Config, folder, &so8t.Adapter{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(folder.Config.FileBytes(2))
	var copying, baking time.Duration
	for b.Loop() {
		dir := b.TempDir()
		begin := time.Now()
		w := &modelWriter{dir: filepath.Join(dir, "model"), base: from, folder: folder, merged: merged, dtype: "bfloat16", shard: shardBytes, chunk: chunkBytes}
		if err := w.run(b.Context()); err != nil {
			b.Fatal(err)
		}
		baking += time.Since(begin)
		begin = time.Now()
		copyAndSync(b, filepath.Join(dir, "copy"), filepath.Join(from, "model.safetensors"))
		copying += time.Since(begin)
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(copying)/float64(baking), "share-of-copy")
}

func copyAndSync(b *testing.B, to, from string) {
	b.Helper()
	in, err := os.Open(from)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		b.Fatal(err)
	}
	if err := out.Sync(); err != nil {
		b.Fatal(err)
	}
}
