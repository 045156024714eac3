package modeltool

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/so8t/so8t/stages/internal/safetensors"
)

var logits = command{
	name: "logits", usage: "PATH --ids 1,2,3 --out F.safetensors [--last] [--adapter DIR]", operands: 1,
	help: "logits of a folder or GGUF file: an f32 tensor `logits` [tokens, vocabulary]",
	define: func(f *flags) func(context.Context, []string, streams) error {
		list := f.String("ids", "", "token `ids`, with commas or spaces between")
		last := f.Bool("last", false, "only of the last token: [1, vocabulary]")
		adapter := f.String("adapter", "", "adapter `folder`; its gates come with it")
		out := f.String("out", "", "safetensors `file` to write")
		var d device
		d.define(f)
		return func(_ context.Context, operands []string, _ streams) error {
			if err := f.need("ids", "out"); err != nil {
				return err
			}
			ids, err := parseIDs(*list)
			if err != nil {
				return err
			}
			return writeLogits(d, operands[0], *adapter, ids, *last, *out)
		}
	},
}

func parseIDs(list string) ([]int32, error) {
	fields := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '[' || r == ']' })
	ids := make([]int32, len(fields))
	for i, text := range fields {
		id, err := strconv.ParseInt(text, 10, 32)
		if err != nil || id < 0 {
			return nil, usagef("--ids: %q is no token id", text)
		}
		ids[i] = int32(id)
	}
	if len(ids) == 0 {
		return nil, usagef("--ids: there are none")
	}
	return ids, nil
}

// writeLogits streams the logits into the file, since all positions of a large vocabulary may
// not fit into memory.
func writeLogits(d device, path, adapter string, ids []int32, last bool, out string) error {
	m, files, err := openWeights(path)
	if err != nil {
		return err
	}
	defer discard(files)
	for _, id := range ids {
		if int(id) >= m.Config.Vocab {
			return badInputf("token id %d: the model's vocabulary ends at %d", id, m.Config.Vocab-1)
		}
	}
	be, err := d.open()
	if err != nil {
		return err
	}
	defer discard(be)
	net, err := newNetwork(be, m, adapter, len(ids))
	if err != nil {
		return err
	}
	defer net.Release()
	from := 0
	if last {
		from = len(ids) - 1
	}
	tensor := safetensors.Tensor{
		Name: "logits", DType: safetensors.F32, Shape: []int{len(ids) - from, m.Config.Vocab},
		WriteTo: func(w io.Writer) error {
			return net.EachLogits(ids, from, len(ids), func(_ int, rows []float32) error {
				return safetensors.WriteFloats(w, safetensors.F32, rows)
			})
		},
	}
	if err := safetensors.Write(out, []safetensors.Tensor{tensor}, nil); err != nil {
		return errors.Join(err, removeIfThere(out))
	}
	return nil
}

// removeIfThere takes away what was not written to its end.
func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
