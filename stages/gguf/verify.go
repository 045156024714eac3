package gguf

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/ggufio"
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

// verify opens the written file and wants every tensor's bytes to be those that were written, and
// the tokenizer to be the source's.
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
	var all modelfile.Errors
	seen := 0
	for _, tensor := range file.Tensors {
		t := TensorReport{Name: tensor.Name, Type: tensor.Type.String(), Dims: tensor.Dims}
		if written, ok := e.Record.Tensors[tensor.Name]; ok {
			sum := sha256.New()
			if err := file.CopyTo(sum, tensor); err != nil {
				return Report{}, err
			}
			if [sha256.Size]byte(sum.Sum(nil)) != written.File {
				return Report{}, plugins.Errorf(plugins.Internal, "tensor %q of the written file is not what was written", tensor.Name)
			}
			t.Error = written.Errors.Relative()
			all.Add(written.Errors)
			seen++
		}
		r.Tensors = append(r.Tensors, t)
	}
	if seen != len(e.Record.Tensors) {
		return Report{}, plugins.Errorf(plugins.Internal, "the written file holds %d of %d tensors", seen, len(e.Record.Tensors))
	}
	r.WeightError = all.Relative()
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
