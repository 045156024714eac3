package modeltool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// folder inspects a Hugging Face folder: what can be read is shown, whatever the rest is like.
func (i *inspection) folder(ctx context.Context, dir string) error {
	for _, name := range []string{"adapter_config.json", "so8t_config.json"} {
		if config, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			return i.adapter(ctx, dir, config)
		}
	}
	i.Format = "huggingface"
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	weights, weightsErr := safetensors.Open(dir)
	if err != nil && weightsErr != nil {
		return fmt.Errorf("inspecting %q: neither config.json nor weights can be read: %w", dir, weightsErr)
	}
	if json.Valid(config) {
		i.Config = config
	}
	_, configErr := phi3.ReadConfig(dir)
	i.problem(configErr)
	i.problem(weightsErr)
	if configErr == nil && weightsErr == nil {
		i.loads(dir)
	}
	var paths []string
	if weightsErr == nil {
		paths = slices.Clone(weights.Paths())
		discard(weights)
	}
	for _, path := range paths {
		if err := i.safetensors(ctx, path, true); err != nil {
			return err
		}
	}
	return nil
}

// safetensors adds the tensors of one file, in the order of their bytes.
func (i *inspection) safetensors(ctx context.Context, path string, named bool) error {
	set, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer discard(set)
	if len(i.Metadata) == 0 {
		for key, value := range set.Metadata() {
			i.Metadata[key] = value
			i.order = append(i.order, key)
		}
		slices.Sort(i.order)
	}
	var infos []safetensors.Info
	for _, name := range set.Names() {
		info, _ := set.Info(name)
		infos = append(infos, info)
	}
	slices.SortStableFunc(infos, func(a, b safetensors.Info) int { return int(a.Offset - b.Offset) })
	for _, info := range infos {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := set.Bytes(info.Name)
		if err != nil {
			return fmt.Errorf("reading tensor %q: %w", info.Name, err)
		}
		sum := sha256.Sum256(data)
		// Data has no gaps and begins with the first tensor.
		t := tensorView{
			Name: info.Name, Type: string(info.DType), Shape: append([]int{}, info.Shape...), Offset: info.Offset - infos[0].Offset,
			FileOffset: info.Offset, Bytes: info.Size, SHA256: hex.EncodeToString(sum[:]),
		}
		if named {
			t.File = filepath.Base(path)
		}
		i.add(t)
	}
	return nil
}

func (i *inspection) gguf(ctx context.Context, path string) error {
	i.Format = "gguf"
	file, err := ggufio.Open(path)
	if err != nil {
		return err
	}
	defer discard(file)
	for _, kv := range file.Metadata {
		i.Metadata[kv.Key] = plain(kv.Value)
		i.order = append(i.order, kv.Key)
	}
	for _, tensor := range file.Tensors {
		if err := ctx.Err(); err != nil {
			return err
		}
		sum, err := digest(file, tensor)
		if err != nil {
			return err
		}
		i.add(tensorView{
			Name: tensor.Name, Type: tensor.Type.String(), Shape: append([]int{}, tensor.Dims...), Offset: tensor.Offset,
			FileOffset: file.DataOffset(tensor), Bytes: tensor.Size(), SHA256: sum,
		})
	}
	i.loads(path)
	return nil
}

// adapter inspects an adapter folder: LoRA, gates, or both.
func (i *inspection) adapter(ctx context.Context, dir string, config []byte) error {
	i.Format = "adapter"
	if json.Valid(config) {
		i.Config = config
	}
	_, err := so8t.ReadAdapter(dir)
	i.problem(err)
	files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		return err
	}
	for _, path := range files {
		if err := i.safetensors(ctx, path, true); err != nil {
			i.problem(err)
		}
	}
	return nil
}

// loads reports what keeps the model from being used, and what is left out.
func (i *inspection) loads(path string) {
	m, err := modelfile.Open(path)
	if err != nil {
		i.problem(err)
		return
	}
	defer discard(m)
	for _, key := range m.Config.Unrecognised {
		i.problem(fmt.Errorf("config.json: %q is not understood and left out", key))
	}
}

func digest(file *ggufio.File, t ggufio.TensorInfo) (string, error) {
	sum := sha256.New()
	err := file.CopyTo(sum, t)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// plain makes a value that JSON can hold: numbers that are none become strings, bytes a list,
// and a float32 keeps its exact value.
func plain(value any) any {
	switch v := value.(type) {
	case float32:
		return finite(float64(v))
	case float64:
		return finite(v)
	case []float32:
		return mapped(v, func(x float32) any { return finite(float64(x)) })
	case []float64:
		return mapped(v, finite)
	case []uint8:
		return mapped(v, func(x uint8) any { return x })
	}
	return value
}

func finite(v float64) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Sprint(v)
	}
	return v
}

func mapped[T any](from []T, f func(T) any) []any {
	to := make([]any, len(from))
	for i, v := range from {
		to[i] = f(v)
	}
	return to
}

// length of a list; 0 when v is none.
func length(v any) int {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice {
		return r.Len()
	}
	return 0
}
