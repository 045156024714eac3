package gguf

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/inorder"
	"github.com/so8t/so8t/stages/internal/modelfile"
)

// Report is gguf_report.json.
type Report struct {
	Type          string  `json:"type"`
	Bytes         int64   `json:"bytes"`
	Parameters    int64   `json:"parameters"`
	BitsPerWeight float64 `json:"bits_per_weight"`
	WeightError   float64 `json:"weight_error"`
	// Divergence is that from the unquantised model, when there was held-out text.
	Divergence *Divergence    `json:"divergence,omitempty"`
	Tensors    []TensorReport `json:"tensors"`
}

// TensorReport is one tensor; Error is relative root mean square against the float32 source.
type TensorReport struct {
	Name  string  `json:"name"`
	Type  string  `json:"type"`
	Dims  []int   `json:"dims"`
	Error float64 `json:"error"`
}

// verify opens the written file, wants every tensor's bytes to be what the source encodes to,
// and measures what the type lost.
func verify(path string, e modelfile.Export) (Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Report{}, fmt.Errorf("reading the written file: %w", err)
	}
	back, err := modelfile.Open(path)
	if err != nil {
		return Report{}, plugins.Errorf(plugins.Internal, "the written file does not open: %w", err)
	}
	err = sameTokens(back.Template, e.Template)
	_ = back.Close()
	if err != nil {
		return Report{}, err
	}
	file, err := ggufio.Open(path)
	if err != nil {
		return Report{}, err
	}
	defer file.Close()
	r := Report{Type: e.Mix.String(), Bytes: info.Size(), Parameters: e.Config.Parameters()}
	r.BitsPerWeight = float64(r.Bytes) * 8 / float64(r.Parameters)
	var lost, total float64
	names := e.FileNames()
	for _, tensor := range file.Tensors {
		t := TensorReport{Name: tensor.Name, Type: tensor.Type.String(), Dims: tensor.Dims}
		if source, ok := names[tensor.Name]; ok {
			sums, err := compare(file, tensor, e, source)
			if err != nil {
				return Report{}, err
			}
			if sums.total > 0 {
				t.Error = math.Sqrt(sums.lost / sums.total)
			}
			lost, total = lost+sums.lost, total+sums.total
		}
		r.Tensors = append(r.Tensors, t)
	}
	if total > 0 {
		r.WeightError = math.Sqrt(lost / total)
	}
	return r, nil
}

// probes are written and read back in tokens: characters of one to four bytes, a label's line,
// runs of spaces and digits.
var probes = []string{"港の荷役計画とは何かを短く説明してください。", "判定: ESCALATION\n理由: ", "It's 12345  é 𠮷 😀\t\n"}

// sameTokens compares the tokenizers of the written file and of its source.
func sameTokens(written, source *chat.Template) error {
	for _, text := range probes {
		prompt := []chat.Message{{Role: "user", Content: text}}
		got, err := written.Prompt(prompt)
		if err != nil {
			return plugins.Errorf(plugins.Internal, "the written file's tokenizer: %w", err)
		}
		want, err := source.Prompt(prompt)
		if err != nil {
			return err
		}
		if !slices.Equal(got, want) {
			return plugins.Errorf(plugins.Internal, "the tokenizer of the written file gives %v for %q, its source's %v", got, text, want)
		}
	}
	return nil
}

// errorSums are Σ(x − read)² and Σx² of some elements.
type errorSums struct{ lost, total float64 }

// compare reads a tensor back on several processors. It is an error when its bytes are not those
// that the source encodes to.
func compare(file *ggufio.File, tensor ggufio.TensorInfo, e modelfile.Export, source string) (sums errorSums, err error) {
	columns := tensor.Dims[0]
	step := max(1, compareElements/columns) * columns
	parts := (tensor.Len() + step - 1) / step
	err = inorder.Do(inorder.Jobs(e.Jobs), parts, func(i int) (errorSums, error) {
		return comparePart(file, tensor, e, source, i*step, min(step, tensor.Len()-i*step))
	}, func(_ int, part errorSums) error {
		sums.lost += part.lost
		sums.total += part.total
		return nil
	})
	return sums, err
}

// compareElements is about how many elements are compared at a time.
const compareElements = 1 << 20

func comparePart(file *ggufio.File, tensor ggufio.TensorInfo, e modelfile.Export, source string, first, n int) (sums errorSums, err error) {
	x, y := make([]float32, n), make([]float32, n)
	if err := e.Source.ReadFloats(source, first, x); err != nil {
		return sums, err
	}
	want, got := make([]byte, tensor.Type.Bytes(n)), make([]byte, tensor.Type.Bytes(n))
	if err := file.ReadRaw(tensor, first, got); err != nil {
		return sums, err
	}
	tensor.Type.EncodeRows(want, x, e.Importance(tensor.Name))
	if !bytes.Equal(got, want) {
		return sums, plugins.Errorf(plugins.Internal, "tensor %q of the written file is not what was written", tensor.Name)
	}
	tensor.Type.Decode(y, got)
	for i := range x {
		d := float64(x[i]) - float64(y[i])
		sums.lost += d * d
		sums.total += float64(x[i]) * float64(x[i])
	}
	return sums, nil
}
