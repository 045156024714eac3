package modeltool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/so8t/so8t/stages/internal/phi3"
)

// inspection is the JSON of inspect.
type inspection struct {
	Path   string `json:"path"`
	Format string `json:"format"` // huggingface, adapter, safetensors, gguf
	// Config is config.json as it stands in a Hugging Face folder, adapter_config.json or
	// so8t_config.json in an adapter's.
	Config json.RawMessage `json:"config,omitempty"`
	// Metadata is that of the (first) file.
	Metadata map[string]any `json:"metadata"`
	// Problems keep the model from being used; none means that it loads.
	Problems   []string     `json:"problems"`
	Parameters int64        `json:"parameters"` // elements of all tensors
	Bytes      int64        `json:"bytes"`      // of all tensors
	Tensors    []tensorView `json:"tensors"`    // in the order of the file

	order []string // of the metadata's keys
}

// tensorView is one tensor of a file.
type tensorView struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Shape as the file has it: row-major in safetensors, columns first in GGUF.
	Shape []int `json:"shape"`
	// Offset as the file's table says, from the start of the tensors' data; FileOffset from
	// the start of the file.
	Offset     int64  `json:"offset"`
	FileOffset int64  `json:"file_offset"`
	Bytes      int64  `json:"bytes"`
	SHA256     string `json:"sha256"`
	File       string `json:"file,omitempty"` // which one of a folder
}

var inspect = command{
	name: "inspect", usage: "PATH [--json]", operands: 1,
	help: "what a Hugging Face or adapter folder, safetensors or GGUF file holds, and what is wrong with it",
	define: func(f *flags) func(context.Context, []string, streams) error {
		asJSON := f.Bool("json", false, "everything, with a digest of each tensor, as JSON")
		return func(ctx context.Context, operands []string, s streams) error {
			i, err := look(ctx, operands[0])
			if err != nil {
				return badInput(err)
			}
			if *asJSON {
				e := json.NewEncoder(s.out)
				e.SetEscapeHTML(false)
				return e.Encode(i)
			}
			return i.write(s.out)
		}
	},
}

// look inspects whatever is at path: what it is shows in its first bytes.
func look(ctx context.Context, path string) (*inspection, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("inspecting: %w", err)
	}
	i := &inspection{Path: path, Metadata: map[string]any{}, Problems: []string{}, Tensors: []tensorView{}}
	if info.IsDir() {
		return i, i.folder(ctx, path)
	}
	magic, err := firstBytes(path, len(ggufMagic))
	if err != nil {
		return nil, err
	}
	if string(magic) == ggufMagic {
		return i, i.gguf(ctx, path)
	}
	i.Format = "safetensors"
	return i, i.safetensors(ctx, path, false)
}

const ggufMagic = "GGUF"

func firstBytes(path string, n int) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer discard(file)
	b := make([]byte, n)
	got, err := io.ReadFull(file, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return b[:got], err
}

func (i *inspection) problem(err error) {
	var many *phi3.InputError
	switch {
	case errors.As(err, &many) && len(many.Problems) > 0:
		for _, p := range many.Problems {
			i.Problems = append(i.Problems, many.What+": "+p)
		}
	case err != nil:
		i.Problems = append(i.Problems, err.Error())
	}
}

func (i *inspection) add(t tensorView) {
	n := int64(1)
	for _, d := range t.Shape {
		n *= int64(d)
	}
	i.Parameters += n
	i.Bytes += t.Bytes
	i.Tensors = append(i.Tensors, t)
}

// longest is how much of a value people are shown.
const longest = 100

func (i *inspection) write(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) } // Flush reports
	line("%s: %s, %d tensors, %d elements, %d bytes", i.Path, i.Format, len(i.Tensors), i.Parameters, i.Bytes)
	var config map[string]any
	if len(i.Config) > 0 && json.Unmarshal(i.Config, &config) == nil {
		line("\nCONFIG\t")
		for _, key := range slices.Sorted(maps.Keys(config)) {
			line("%s\t%s", key, brief(config[key]))
		}
	}
	if len(i.order) > 0 {
		line("\nMETADATA\t")
	}
	for _, key := range i.order {
		line("%s\t%s", key, brief(i.Metadata[key]))
	}
	line("\nTENSOR\tTYPE\tSHAPE\tBYTES\tSHA256")
	for _, tensor := range i.Tensors {
		line("%s\t%s\t%v\t%d\t%.12s", tensor.Name, tensor.Type, tensor.Shape, tensor.Bytes, tensor.SHA256)
	}
	line("")
	for _, p := range i.Problems {
		line("problem: %s", p)
	}
	if len(i.Problems) == 0 {
		line("no problems")
	}
	return t.Flush()
}

// brief is a value on one line; a long list is its length and beginning.
func brief(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	text := []rune(strings.TrimSpace(b.String()))
	if len(text) <= longest {
		return string(text)
	}
	beginning := string(text[:longest]) + "…"
	if n := length(v); n > 0 {
		return fmt.Sprintf("%d values: %s", n, beginning)
	}
	return beginning
}
