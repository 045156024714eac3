package bake

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/so8t"
)

const (
	chunkBytes = 64 << 20 // of a tensor in memory at a time
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

// Report is bake_report.json.
type Report struct {
	LayersFolded  int           `json:"layers_folded"`
	ModulesMerged int           `json:"modules_merged"`
	Proof         Proof         `json:"proof"`
	Layers        []LayerReport `json:"layers"`
	DType         string        `json:"dtype"`
	// CastError is the relative root mean square of what the cast to DType changed.
	CastError float64 `json:"cast_error"`
	// Tensors are the sha256 of the written bytes.
	Tensors map[string]string `json:"tensors"`
}

// LayerReport is one folded gate.
type LayerReport struct {
	Layer         int     `json:"layer"`
	Orthogonality float64 `json:"orthogonality_error"` // max |RᵀR − I|
	Determinant   float64 `json:"determinant_error"`   // max |det R − 1|
	MeanAngle     float64 `json:"mean_angle"`          // radians
	MaxAngle      float64 `json:"max_angle"`
}

func newReport(a *so8t.Adapter, proof Proof, dtype string, castError float64, digests map[string]string) Report {
	r := Report{Proof: proof, DType: dtype, CastError: castError, Tensors: digests, Layers: []LayerReport{}}
	if a.LoRA != nil {
		r.ModulesMerged = len(a.LoRA.Modules)
	}
	if a.Gates != nil {
		r.LayersFolded = len(a.Gates.Layers)
		for _, gate := range a.Gates.Layers {
			o, angles := so8t.CheckOrthogonality(so8t.Rotations(gate.Theta)), so8t.MeasureAngles(gate.Theta)
			r.Layers = append(r.Layers, LayerReport{gate.Layer, o.MaxError, o.DetError, angles.Mean, angles.Max})
		}
	}
	return r
}

// writeModel streams the merged tensors into dir, a chunk of rows at a time, and copies what
// else belongs to a model. It returns the digest of every tensor and the error of the cast.
func writeModel(dir, base string, c *phi3.Config, merged phi3.Source, dtype string) (map[string]string, float64, error) {
	d, known := dtypes[dtype]
	if !known {
		return nil, 0, fmt.Errorf("weights of type %q cannot be written", dtype)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, 0, fmt.Errorf("making the model folder: %w", err)
	}
	digests := map[string]string{}
	var cast castMeter
	var tensors []safetensors.Tensor
	for _, t := range c.Tensors() {
		tensors = append(tensors, safetensors.Tensor{Name: t.Name, DType: d, Shape: t.Shape, WriteTo: func(w io.Writer) error {
			sum := sha256.New()
			if err := stream(io.MultiWriter(w, sum), merged, t, d, &cast); err != nil {
				return err
			}
			digests[t.Name] = hex.EncodeToString(sum.Sum(nil))
			return nil
		}})
	}
	safetensors.Sort(tensors)
	if err := safetensors.WriteFolder(dir, tensors, nil, shardBytes); err != nil {
		return nil, 0, fmt.Errorf("writing the baked weights: %w", err)
	}
	config, err := c.MarshalConfig(dtype)
	if err != nil {
		return nil, 0, fmt.Errorf("writing config.json: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644); err != nil {
		return nil, 0, fmt.Errorf("writing config.json: %w", err)
	}
	return digests, cast.relative(), copyCompanions(dir, base)
}

// stream writes one tensor in chunks of whole blocks of rows, which is what a fold reads.
func stream(w io.Writer, source phi3.Source, t phi3.Tensor, d safetensors.DType, cast *castMeter) error {
	columns := t.Shape[len(t.Shape)-1]
	rows := max(so8t.Block, chunkBytes/4/columns/so8t.Block*so8t.Block)
	buffer := make([]float32, min(rows*columns, t.Len()))
	for first := 0; first < t.Len(); first += len(buffer) {
		part := buffer[:min(len(buffer), t.Len()-first)]
		if err := source.ReadFloats(t.Name, first, part); err != nil {
			return err
		}
		cast.add(part, d)
		if err := safetensors.WriteFloats(w, d, part); err != nil {
			return err
		}
	}
	return nil
}

// castMeter sums what a cast loses: Σ(x − cast(x))² and Σx².
type castMeter struct{ lost, total float64 }

func (m *castMeter) add(values []float32, d safetensors.DType) {
	if d == safetensors.F32 {
		return
	}
	for _, v := range values {
		back := math.Float32frombits(uint32(safetensors.FloatToBrain(v)) << 16)
		if d == safetensors.F16 {
			back = safetensors.HalfToFloat(safetensors.FloatToHalf(v))
		}
		m.lost += float64(v-back) * float64(v-back)
		m.total += float64(v) * float64(v)
	}
}

func (m *castMeter) relative() float64 {
	if m.total == 0 {
		return 0
	}
	return math.Sqrt(m.lost / m.total)
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
