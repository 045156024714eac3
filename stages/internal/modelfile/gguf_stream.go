package modelfile

import (
	"fmt"
	"slices"
	"sync"

	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/inorder"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// pieceElements is about how much of a tensor is read, encoded and written at a time: each job
// holds that in float32 and, at most, as much encoded.
const pieceElements = 1 << 20

// WriteMemory is about what Write takes, beside the source, in bytes: of each piece its elements,
// what is read back of them, and its bytes.
func WriteMemory(jobs int) int64 { return int64(2*inorder.Jobs(jobs)+2) * 3 * 4 * pieceElements }

// piece is some whole rows of a tensor.
type piece struct {
	tensor   int // of the list
	first, n int // elements
}

// pieces cuts tensors into whole blocks of 8 rows, which a source with an adapter reads best.
func pieces(tensors []phi3.Tensor) []piece {
	var all []piece
	for i, t := range tensors {
		columns := t.Shape[len(t.Shape)-1]
		step := max(1, pieceElements/columns/so8t.Block) * so8t.Block * columns
		for first := 0; first < t.Len(); first += step {
			all = append(all, piece{i, first, min(step, t.Len()-first)})
		}
	}
	return all
}

// encoded is a piece on its way: its elements and its bytes in the file; for a record, what is
// read of these, and how far that is from the elements.
type encoded struct {
	x, back []float32
	b       []byte
	errors  Errors
}

// stream encodes the tensors on several processors and writes them in order.
func (e Export) stream(out *ggufio.Writer, tensors []phi3.Tensor, types []ggufio.TensorInfo, progress func(done, total int64)) error {
	all := pieces(tensors)
	spare := sync.Pool{New: func() any { return new(encoded) }}
	record := newRecorder(e.Record)
	var done int64
	return inorder.Do(inorder.Jobs(e.Jobs), len(all), func(i int) (*encoded, error) {
		p, buffer := all[i], spare.Get().(*encoded)
		err := e.encode(buffer, tensors[p.tensor].Name, types[p.tensor], p)
		return buffer, err
	}, func(i int, buffer *encoded) error {
		defer spare.Put(buffer)
		p := all[i]
		if p.first == 0 {
			if err := out.Begin(types[p.tensor].Name); err != nil {
				return err
			}
		}
		if _, err := out.Write(buffer.b); err != nil {
			return fmt.Errorf("writing tensor %q: %w", tensors[p.tensor].Name, err)
		}
		record.add(types[p.tensor].Name, buffer, p.first+p.n == tensors[p.tensor].Len())
		if done += int64(p.n); progress != nil {
			progress(done, e.Config.Parameters())
		}
		return nil
	})
}

// encode reads a piece of a tensor and encodes it as the file has it.
func (e Export) encode(to *encoded, name string, info ggufio.TensorInfo, p piece) error {
	to.x = slices.Grow(to.x[:0], p.n)[:p.n]
	size := info.Type.Bytes(p.n)
	to.b = slices.Grow(to.b[:0], size)[:size]
	if err := e.Source.ReadFloats(name, p.first, to.x); err != nil {
		return err
	}
	info.Type.EncodeRows(to.b, to.x, e.importance[info.Name])
	if err := info.Type.CheckFinite(to.x, to.b); err != nil {
		return fmt.Errorf("tensor %q from element %d on: %w", name, p.first, err)
	}
	if e.Record != nil {
		to.back = slices.Grow(to.back[:0], p.n)[:p.n]
		to.errors = measure(info.Type, to.x, to.b, to.back)
	}
	return nil
}
