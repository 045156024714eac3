package modeltool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/imatrix"
	"github.com/so8t/so8t/stages/internal/inorder"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/quant"
	"github.com/so8t/so8t/stages/internal/settle"
)

var quantize = command{
	name: "quantize", usage: "IN OUT --type Q4_K_M [--imatrix F] [--output-type T] [--embedding-type T] [--name N] [--jobs N]", operands: 2,
	help: "a folder or GGUF file becomes a GGUF file of another type",
	define: func(f *flags) func(context.Context, []string, streams) error {
		var q quantization
		f.StringVar(&q.mix, "type", "", "`type` of the matrices: "+strings.Join(quant.MixNames(), ", "))
		f.StringVar(&q.imatrix, "imatrix", "", "importance matrix, a `file` of model imatrix or llama-imatrix")
		f.StringVar(&q.output, "output-type", "", "`type` of output.weight, or of the embedding that takes its place")
		f.StringVar(&q.embedding, "embedding-type", "", "`type` of token_embd.weight")
		f.StringVar(&q.name, "name", "", "general.`name` in the file; default: that of a GGUF file, else the folder's")
		jobs := f.Int("jobs", inorder.Jobs(0), "at most so `many` threads")
		return func(ctx context.Context, operands []string, s streams) error {
			if err := f.need("type"); err != nil {
				return err
			}
			if *jobs < 1 {
				return usagef("--jobs %d: want at least 1", *jobs)
			}
			mix, err := q.parse()
			if err != nil {
				return err
			}
			return writeGGUF(ctx, operands[0], operands[1], modelfile.Export{Name: q.name, Mix: mix, Jobs: *jobs}, q.imatrix, s.errw)
		}
	},
}

// quantization is what the flags say.
type quantization struct {
	mix, output, embedding, name, imatrix string
}

func (q quantization) parse() (quant.Mix, error) {
	mix, err := quant.ParseMix(q.mix)
	if err != nil {
		return mix, usagef("--type %s: want one of %s", q.mix, strings.Join(quant.MixNames(), ", "))
	}
	for _, o := range []struct {
		flag, name string
		with       func(quant.Mix, quant.Type) quant.Mix
	}{
		{"output-type", q.output, quant.Mix.WithOutput},
		{"embedding-type", q.embedding, quant.Mix.WithEmbedding},
	} {
		if o.name == "" {
			continue
		}
		t, err := quant.Parse(o.name)
		if err != nil {
			return mix, usagef("--%s: %w", o.flag, err)
		}
		mix = o.with(mix, t)
	}
	return mix, nil
}

// writeGGUF writes beside the target first, so that nobody meets half a file under its name and
// a file can replace itself.
func writeGGUF(ctx context.Context, in, out string, e modelfile.Export, importance string, errw io.Writer) (err error) {
	m, err := open(in)
	if err != nil {
		return err
	}
	defer discard(m)
	if e.Name == "" {
		e.Name = nameOf(in)
	}
	if err := modelfile.CheckName(e.Name); err != nil {
		return usagef("--name: %w", err)
	}
	e.Config, e.Source, e.Template = m.Config, m.Source, m.Template
	if importance != "" {
		if err := useImatrix(&e, importance); err != nil {
			return badInput(err)
		}
	}
	temporary, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+".*")
	if err != nil {
		return badInput(fmt.Errorf("creating %q: %w", out, err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(temporary.Name()))
		}
	}()
	if err := fill(ctx, temporary, e); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), out); err != nil {
		return fmt.Errorf("renaming to %q: %w", out, err)
	}
	info, err := os.Stat(out)
	if err != nil {
		return fmt.Errorf("looking at what was written: %w", err)
	}
	_, err = fmt.Fprintf(errw, "%s: %s, %d bytes, %.2f bits a weight\n", out, e.Mix, info.Size(), float64(info.Size())*8/float64(m.Config.Parameters()))
	return err
}

func useImatrix(e *modelfile.Export, path string) error {
	m, err := imatrix.Read(path)
	if err != nil {
		return err
	}
	return e.UseImatrix(m, filepath.Base(path))
}

// fill writes, syncs and closes the file.
func fill(ctx context.Context, f *os.File, e modelfile.Export) (err error) {
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	w := settle.New(f, false)
	if err := e.Write(stoppable{ctx, w}, nil); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return w.Sync()
}

// stoppable refuses to be written to once its context has ended.
type stoppable struct {
	ctx context.Context
	w   io.Writer
}

func (s stoppable) Write(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.w.Write(p)
}

// nameOf is what a model is called: the name in a GGUF file, else that of the folder.
func nameOf(path string) string {
	if file, err := ggufio.Open(path); err == nil {
		defer discard(file)
		if name, err := ggufio.Lookup[string](file, "general.name"); err == nil {
			return name
		}
	}
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	return filepath.Base(path)
}
