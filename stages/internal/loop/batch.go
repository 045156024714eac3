package loop

import (
	"fmt"
	"slices"

	"github.com/so8t/so8t/stages/internal/backend"
)

// Row is one tokenised example.
type Row struct {
	Tokens []int32
	// Learn marks the tokens that the model should predict. The first token has nothing
	// before it, so its mark has no effect. nil marks all.
	Learn []bool
}

// targets counts the tokens of the row that the loss sees.
func (r Row) targets() int64 {
	n := int64(0)
	for t := 1; t < len(r.Tokens); t++ {
		if r.learn(t) {
			n++
		}
	}
	return n
}

func (r Row) learn(t int) bool { return r.Learn == nil || r.Learn[t] }

// Batch is one micro-batch: its rows side by side in one packed row without padding, with
// attention inside each of them only.
type Batch struct {
	Tokens []int32 // [T]
	// Targets is, for each position, the token to predict there (the next one of the same
	// row), or -1.
	Targets []int32 // [T]
	Packing backend.PackingData
}

// pack lays rows side by side. The rows' indexes name the segments.
func pack(rows []Row, indexes []int) Batch {
	var b Batch
	for _, i := range indexes {
		r := rows[i]
		b.Packing.Segments = append(b.Packing.Segments,
			backend.Segment{Start: len(b.Tokens), Len: len(r.Tokens), ID: uint64(i)})
		b.Tokens = append(b.Tokens, r.Tokens...)
		for t := 1; t <= len(r.Tokens); t++ {
			target := int32(-1)
			if t < len(r.Tokens) && r.learn(t) {
				target = r.Tokens[t]
			}
			b.Targets = append(b.Targets, target)
		}
	}
	b.Packing.Rows = len(b.Tokens)
	return b
}

// window is what one optimiser step learns from.
type window struct {
	batches []Batch
	rows    int64 // rows taken from the order
	tokens  int64
	targets int64 // tokens that the loss sees: what it is divided by
	triples int64 // what PET is divided by
}

func (w *window) add(b Batch) {
	w.batches = append(w.batches, b)
	w.rows += int64(len(b.Packing.Segments))
	w.tokens += int64(len(b.Tokens))
	w.triples += int64(b.Packing.Triples())
	for _, t := range b.Targets {
		if t >= 0 {
			w.targets++
		}
	}
}

// Size says how large a micro-batch is: Rows rows, or, when Tokens is set, as many rows as
// fit into Tokens tokens (at least one).
type Size struct {
	Rows   int
	Tokens int
}

// feed cuts the endless sequence of epochs into windows.
type feed struct {
	rows         []Row
	order        *order
	size         Size
	accumulation int
	// halvings cuts every micro-batch in 2^halvings parts: the ladder after running out of
	// memory. The rows of a window and their order stay.
	halvings int
}

func newFeed(rows []Row, s Settings) (*feed, error) {
	size, accumulation := s.Size, s.Accumulation
	if len(rows) == 0 {
		return nil, fmt.Errorf("no rows to learn from")
	}
	if (size.Rows < 1 && size.Tokens < 1) || accumulation < 1 {
		return nil, fmt.Errorf("batch %+v with accumulation %d is no batch", size, accumulation)
	}
	targets := int64(0)
	for _, r := range rows {
		targets += r.targets()
	}
	if targets == 0 {
		return nil, fmt.Errorf("no row has a token to learn")
	}
	o := newOrder(s.Seed, len(rows))
	o.fixed = s.InOrder
	if s.GroupByLength {
		if size.Rows < 1 {
			return nil, fmt.Errorf("grouping by length needs batches of a fixed number of rows")
		}
		o.window = size.Rows * accumulation
		for _, r := range rows {
			o.lengths = append(o.lengths, len(r.Tokens))
		}
	}
	return &feed{rows: rows, order: o, size: size, accumulation: accumulation}, nil
}

// window is the one that begins at a position of the sequence. Micro-batches may cross the
// end of an epoch. A window in which there is nothing to learn is extended by a further
// micro-batch until there is.
func (f *feed) window(position int64) window {
	var w window
	for taken := 0; taken < f.accumulation || w.targets == 0; taken++ {
		rows := f.take(position + w.rows)
		for chunk := range slices.Chunk(rows, part(len(rows), f.halvings)) {
			w.add(pack(f.rows, chunk))
		}
	}
	return w
}

func (f *feed) take(position int64) []int {
	var out []int
	tokens := 0
	for {
		i := f.order.row(position + int64(len(out)))
		tokens += len(f.rows[i].Tokens)
		full := len(out) >= f.size.Rows
		if f.size.Tokens > 0 {
			full = tokens > f.size.Tokens
		}
		if full && len(out) > 0 {
			return out
		}
		out = append(out, i)
	}
}

// batches cuts rows in their own order: what validation runs over.
func batches(rows []Row, size Size) []Batch {
	var out []Batch
	for from := 0; from < len(rows); {
		var take []int
		tokens := 0
		for i := from; i < len(rows); i++ {
			tokens += len(rows[i].Tokens)
			if len(take) > 0 && (size.Tokens > 0 && tokens > size.Tokens || size.Tokens == 0 && len(take) >= size.Rows) {
				break
			}
			take = append(take, i)
		}
		out = append(out, pack(rows, take))
		from += len(take)
	}
	return out
}
