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
	"github.com/so8t/so8t/stages/internal/modelfile"
)

// Report is gguf_report.json.
type Report struct {
	Type          string         `json:"type"`
	Bytes         int64          `json:"bytes"`
	Parameters    int64          `json:"parameters"`
	BitsPerWeight float64        `json:"bits_per_weight"`
	WeightError   float64        `json:"weight_error"`
	Tensors       []TensorReport `json:"tensors"`
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
			l, n, err := compare(file, tensor, e, source)
			if err != nil {
				return Report{}, err
			}
			if n > 0 {
				t.Error = math.Sqrt(l / n)
			}
			lost, total = lost+l, total+n
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

// compare returns Σ(x − read)² and Σx² of a tensor, and an error when its bytes are not those
// that the source encodes to.
func compare(file *ggufio.File, tensor ggufio.TensorInfo, e modelfile.Export, source string) (lost, total float64, err error) {
	columns := tensor.Dims[0]
	rows := max(1, (4<<20)/columns)
	for first := 0; first < tensor.Len(); first += rows * columns {
		n := min(rows*columns, tensor.Len()-first)
		x, y := make([]float32, n), make([]float32, n)
		if err := e.Source.ReadFloats(source, first, x); err != nil {
			return 0, 0, err
		}
		if err := file.ReadFloats(tensor, first, y); err != nil {
			return 0, 0, err
		}
		for i := range x {
			d := float64(x[i]) - float64(y[i])
			lost += d * d
			total += float64(x[i]) * float64(x[i])
		}
		// What was read back encodes to the same bytes as the source: nothing else was written.
		want, got := make([]byte, tensor.Type.Bytes(n)), make([]byte, tensor.Type.Bytes(n))
		tensor.Type.Encode(want, x)
		if err := file.ReadRaw(tensor, first, got); err != nil {
			return 0, 0, err
		}
		if !bytes.Equal(got, want) {
			return 0, 0, plugins.Errorf(plugins.Internal, "tensor %q of the written file is not what was written", tensor.Name)
		}
	}
	return lost, total, nil
}
