package bake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/so8t/so8t/stages/internal/inorder"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/so8t"
)

const (
	chunkBytes = 8 << 20 // of a tensor, as float32, that is computed at a time
	writers    = 4       // goroutines that compute, at most
	shardBytes = 4 << 30
)

// companions are copied from the base: what a model folder holds besides weights and config.
var companions = []string{
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
	"vocab.json", "merges.txt", "chat_template.jinja", "generation_config.json",
}

var dtypes = map[string]safetensors.DType{
	"float32": safetensors.F32, "float16": safetensors.F16, "bfloat16": safetensors.BF16,
}

// modelWriter streams merged tensors into a folder, or only through their digests.
type modelWriter struct {
	dir     string // "": no folder is written
	base    string // whose companions are copied
	folder  *phi3.Folder
	merged  *phi3.Merged
	dtype   string
	jobs    int
	shard   int64
	chunk   int               // bytes as float32
	written func(tensors int) // may be nil

	digests map[string]string
	cast    castMeter
	// Counted when a tensor has been written, not when it was planned.
	folded, merges int
	floats         chan []float32 // free chunks
	encoded        chan []byte
}

// run makes the tensors, a chunk of rows at a time, and the folder, if there is to be one.
func (w *modelWriter) run(ctx context.Context) error {
	d, known := dtypes[w.dtype]
	if !known {
		return fmt.Errorf("weights of type %q cannot be written", w.dtype)
	}
	w.digests = map[string]string{}
	w.jobs = min(inorder.Jobs(w.jobs), writers)
	w.floats, w.encoded = make(chan []float32, w.jobs), make(chan []byte, 2*w.jobs+1)
	var tensors []safetensors.Tensor
	for _, t := range w.folder.Config.Tensors() {
		tensors = append(tensors, safetensors.Tensor{Name: t.Name, DType: d, Shape: t.Shape, WriteTo: func(out io.Writer) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return w.tensor(out, t, d)
		}})
	}
	if w.dir != "" {
		return w.folderOf(tensors)
	}
	for _, t := range tensors {
		if err := t.WriteTo(io.Discard); err != nil {
			return fmt.Errorf("merging tensor %q: %w", t.Name, err)
		}
	}
	return nil
}

// folderOf writes the tensors and what else belongs to a model.
func (w *modelWriter) folderOf(tensors []safetensors.Tensor) error {
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return fmt.Errorf("making the model folder: %w", err)
	}
	if err := safetensors.WriteFolder(w.dir, tensors, nil, w.shard); err != nil {
		return fmt.Errorf("writing the baked weights: %w", err)
	}
	config, err := w.folder.Config.MarshalConfig(w.dtype)
	if err != nil {
		return fmt.Errorf("writing config.json: %w", err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "config.json"), config, 0o644); err != nil {
		return fmt.Errorf("writing config.json: %w", err)
	}
	return copyCompanions(w.dir, w.base)
}

// tensor writes one and counts what was done to it. Bytes that nothing changes are copied.
func (w *modelWriter) tensor(out io.Writer, t phi3.Tensor, d safetensors.DType) error {
	hashed := &hashedWriter{w: out, sum: sha256.New()}
	var err error
	if w.merged.Base == phi3.Source(w.folder) && !w.merged.Touches(t.Name) && w.folder.DType(t.Name) == d {
		err = w.folder.CopyTo(hashed, t.Name)
	} else {
		err = w.compute(hashed, t, d)
	}
	if err != nil {
		return err
	}
	w.digests[t.Name] = hex.EncodeToString(hashed.sum.Sum(nil))
	if w.merged.Folds(t.Name) {
		w.folded++
	}
	if w.merged.Merges(t.Name) {
		w.merges++
	}
	if w.written != nil {
		w.written(len(w.digests))
	}
	return nil
}

// piece is a chunk of a tensor as it is written.
type piece struct {
	raw  []byte
	cast castMeter
}

// compute writes one tensor in chunks of whole blocks of rows, which is what a fold reads.
func (w *modelWriter) compute(out io.Writer, t phi3.Tensor, d safetensors.DType) error {
	columns := t.Shape[len(t.Shape)-1]
	size := min(max(so8t.Block, w.chunk/4/columns/so8t.Block*so8t.Block)*columns, t.Len())
	produce := func(i int) (piece, error) {
		values := take(w.floats)
		values = slices.Grow(values[:0], size)[:min(size, t.Len()-i*size)]
		defer give(w.floats, values)
		if err := w.merged.ReadFloats(t.Name, i*size, values); err != nil {
			return piece{}, err
		}
		raw := slices.Grow(take(w.encoded)[:0], size*d.Bits()/8)
		raw, err := safetensors.AppendFloats(d, raw, values)
		c := piece{raw: raw}
		c.cast.add(values, d)
		return c, err
	}
	return inorder.Do(w.jobs, (t.Len()+size-1)/size, produce, func(_ int, c piece) error {
		defer give(w.encoded, c.raw)
		w.cast.lost += c.cast.lost
		w.cast.total += c.cast.total
		_, err := out.Write(c.raw)
		return err
	})
}

// take gives out a free buffer, or none.
func take[T any](free chan []T) []T {
	select {
	case b := <-free:
		return b
	default:
		return nil
	}
}

// give keeps a buffer for the next who takes one: made anew each time, they would double the heap.
func give[T any](free chan []T, b []T) {
	select {
	case free <- b:
	default:
	}
}

// hashedWriter passes bytes on and hashes them at the same time.
type hashedWriter struct {
	w   io.Writer
	sum hash.Hash
}

func (h *hashedWriter) Write(p []byte) (int, error) {
	var hashing sync.WaitGroup
	hashing.Go(func() { h.sum.Write(p) })
	n, err := h.w.Write(p)
	hashing.Wait()
	return n, err
}

// castMeter sums what a cast loses: Σ(x − cast(x))² and Σx².
type castMeter struct{ lost, total float64 }

func (m *castMeter) add(values []float32, d safetensors.DType) {
	if d == safetensors.F32 {
		return
	}
	for _, v := range values {
		lost := float64(v - cast(v, d))
		m.lost += lost * lost
		m.total += float64(v) * float64(v)
	}
}

func (m *castMeter) relative() float64 {
	if m.total == 0 {
		return 0
	}
	return math.Sqrt(m.lost / m.total)
}

// cast is what is read back of a number that was written.
func cast(v float32, d safetensors.DType) float32 {
	switch d {
	case safetensors.F16:
		return safetensors.HalfToFloat(safetensors.FloatToHalf(v))
	case safetensors.BF16:
		return safetensors.BrainToFloat(safetensors.FloatToBrain(v))
	}
	return v
}

func copyCompanions(dir, base string) error {
	for _, name := range companions {
		text, err := os.ReadFile(filepath.Join(base, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("copying %q from the base: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return fmt.Errorf("copying %q from the base: %w", name, err)
		}
	}
	return nil
}
