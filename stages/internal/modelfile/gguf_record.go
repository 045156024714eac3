package modelfile

import (
	"crypto/sha256"
	"hash"
	"math"
	"sync"

	"github.com/so8t/so8t/stages/internal/baked"
	"github.com/so8t/so8t/stages/internal/quant"
)

// Record is what an export sees of the tensors that it writes, by their names in the file.
type Record struct {
	// Sources asks for digests of the sources' numbers too.
	Sources bool
	Tensors map[string]TensorRecord
}

// TensorRecord is what was seen of one tensor.
type TensorRecord struct {
	// Source is the sha256 of the numbers as float32, if it was asked for, and File that of the
	// bytes that were written.
	Source string
	File   [sha256.Size]byte
	Errors Errors
}

// Errors are Σ(x − read back)² and Σx² of some numbers.
type Errors struct{ Lost, Total float64 }

// Add adds those of other numbers.
func (e *Errors) Add(more Errors) {
	e.Lost += more.Lost
	e.Total += more.Total
}

// Relative is the relative root mean square.
func (e Errors) Relative() float64 {
	if e.Total == 0 {
		return 0
	}
	return math.Sqrt(e.Lost / e.Total)
}

// measure compares numbers with what is read of their bytes. back is room for them.
func measure(t quant.Type, x []float32, raw []byte, back []float32) (e Errors) {
	t.Decode(back, raw)
	for i, v := range x {
		d := float64(v) - float64(back[i])
		e.Lost += d * d
		e.Total += float64(v) * float64(v)
	}
	return e
}

// recorder fills a Record with pieces that come in order; it is nil when nobody asked for one.
type recorder struct {
	record *Record
	source *baked.Sum
	file   hash.Hash
	errors Errors
}

func newRecorder(r *Record) *recorder {
	if r == nil {
		return nil
	}
	r.Tensors = map[string]TensorRecord{}
	return &recorder{record: r, source: baked.NewSum(), file: sha256.New()}
}

// add takes the next piece of a tensor.
func (r *recorder) add(name string, piece *encoded, last bool) {
	if r == nil {
		return
	}
	var hashing sync.WaitGroup
	if r.record.Sources {
		hashing.Go(func() { r.source.Add(piece.x) })
	}
	_, _ = r.file.Write(piece.b) // never fails
	hashing.Wait()
	r.errors.Add(piece.errors)
	if !last {
		return
	}
	t := TensorRecord{File: [sha256.Size]byte(r.file.Sum(nil)), Errors: r.errors}
	if r.record.Sources {
		t.Source = r.source.End()
	}
	r.record.Tensors[name] = t
	r.file.Reset()
	r.errors = Errors{}
}
