package modeltool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/quant"
)

var quantize = command{
	name: "quantize", usage: "IN OUT --type Q8_0 [--name N] [--jobs N]", operands: 2,
	help: "a folder or GGUF file becomes a GGUF file whose matrices have one type",
	define: func(f *flags) func(context.Context, []string, streams) error {
		typeName := f.String("type", "", "`type` of the matrices: "+typeNames())
		name := f.String("name", "", "general.`name` in the file; default: that of a GGUF file, else the folder's")
		jobs := f.Int("jobs", 1, "at most so `many` threads; these types are limited by the disk and take one")
		return func(ctx context.Context, operands []string, s streams) error {
			if err := f.need("type"); err != nil {
				return err
			}
			if *jobs < 1 {
				return usagef("--jobs %d: want at least 1", *jobs)
			}
			mix, err := quant.ParseMix(*typeName)
			if err != nil {
				return usagef("--type %s: want one of %s", *typeName, typeNames())
			}
			return writeGGUF(ctx, operands[0], operands[1], mix, *name, s.errw)
		}
	},
}

func typeNames() string {
	return strings.Join(quant.MixNames(), ", ")
}

// writeGGUF writes beside the target first, so that nobody meets half a file under its name and
// a file can replace itself.
func writeGGUF(ctx context.Context, in, out string, mix quant.Mix, name string, errw io.Writer) (err error) {
	m, err := open(in)
	if err != nil {
		return err
	}
	defer discard(m)
	if name == "" {
		name = nameOf(in)
	}
	if err := modelfile.CheckName(name); err != nil {
		return usagef("--name: %w", err)
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
	e := modelfile.Export{Name: name, Mix: mix, Config: m.Config, Source: m.Source, Template: m.Template}
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
	_, err = fmt.Fprintf(errw, "%s: %s, %d bytes, %.2f bits a weight\n", out, mix, info.Size(), float64(info.Size())*8/float64(m.Config.Parameters()))
	return err
}

// fill writes, syncs and closes the file.
func fill(ctx context.Context, f *os.File, e modelfile.Export) (err error) {
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	buffered := bufio.NewWriterSize(stoppable{ctx, f}, 1<<20)
	if err := e.Write(buffered, nil); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return f.Sync()
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
