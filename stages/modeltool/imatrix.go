package modeltool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/so8t/so8t/stages/internal/divergence"
	"github.com/so8t/so8t/stages/internal/imatrix"
	"github.com/so8t/so8t/stages/internal/modelfile"
)

var imatrixTool = command{
	name: "imatrix", usage: "PATH --file TEXT --out F.gguf [--chunks N] [--adapter DIR]", operands: 1,
	help: "how much each column of a model's matrices matters on a text, for quantize --imatrix and llama-quantize",
	define: func(f *flags) func(context.Context, []string, streams) error {
		file := f.String("file", "", "calibration `text`, or - for standard input")
		out := f.String("out", "", "`file` to write")
		chunks := f.Int("chunks", 0, "at most so `many` chunks of 512 tokens; 0: all")
		adapter := f.String("adapter", "", "adapter `folder`; its gates come with it")
		var d device
		d.define(f)
		return func(ctx context.Context, operands []string, s streams) error {
			if err := f.need("file", "out"); err != nil {
				return err
			}
			text, err := readText(*file, s.in)
			if err != nil {
				return err
			}
			m, err := collect(ctx, d, operands[0], *adapter, text, *chunks)
			if err != nil {
				return err
			}
			m.Datasets = []string{filepath.Base(*file)}
			if err := writeImatrix(*out, m); err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.errw, "%s: %d matrices, %d chunks of %d tokens\n", *out, m.Len(), m.Chunks, m.ChunkSize)
			return err
		}
	},
}

// collect runs a model over whole chunks of a text and sums what goes into its projections.
func collect(ctx context.Context, d device, path, adapter, text string, chunks int) (*imatrix.Matrix, error) {
	be, err := d.open()
	if err != nil {
		return nil, err
	}
	defer discard(be)
	model, err := open(path)
	if err != nil {
		return nil, err
	}
	defer discard(model)
	ids := model.Template.Tokenizer().Encode(text)
	if len(ids) < divergence.Chunk {
		return nil, badInputf("the text has %d tokens; at least %d are needed", len(ids), divergence.Chunk)
	}
	net, err := newNetwork(be, model, adapter, divergence.Chunk)
	if err != nil {
		return nil, err
	}
	defer net.Release()
	m := imatrix.New(nil, divergence.Chunk)
	net.Observe(func(layer int, module string, rows []float32) {
		_, columns := model.Config.ModuleShape(module)
		m.Add(modelfile.ModuleName(layer, module), rows, columns)
	})
	nothing := func(int, []float32) error { return nil }
	for ; len(ids) >= divergence.Chunk && (chunks <= 0 || m.Chunks < chunks); m.Chunks++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := net.EachLogits(ids[:divergence.Chunk], 0, 0, nothing); err != nil {
			return nil, err
		}
		ids = ids[divergence.Chunk:]
	}
	return m, nil
}

// writeImatrix leaves nothing behind when it fails.
func writeImatrix(path string, m *imatrix.Matrix) error {
	f, err := os.Create(path)
	if err != nil {
		return badInput(fmt.Errorf("creating %q: %w", path, err))
	}
	err = errors.Join(m.Write(f), f.Close())
	if err != nil {
		return errors.Join(err, removeIfThere(path))
	}
	return nil
}
