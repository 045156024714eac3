package loop

import (
	"math"
	"slices"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/tensor"
)

func TestPack_TargetsStayInsideTheirRow(t *testing.T) {
	rows := []Row{
		{Tokens: []int32{1, 2, 3}, Learn: []bool{true, false, true}},
		{Tokens: []int32{4, 5}},
		{Tokens: []int32{6}},
	}
	b := pack(rows, []int{2, 0, 1})
	if want := []int32{6, 1, 2, 3, 4, 5}; !slices.Equal(b.Tokens, want) {
		t.Errorf("tokens %v, want %v", b.Tokens, want)
	}
	// Row 0 learns token 3 only (its first token's mark does not count), row 1 all.
	if want := []int32{-1, -1, 3, -1, 5, -1}; !slices.Equal(b.Targets, want) {
		t.Errorf("targets %v, want %v", b.Targets, want)
	}
	want := []backend.Segment{{Start: 0, Len: 1, ID: 2}, {Start: 1, Len: 3, ID: 0}, {Start: 4, Len: 2, ID: 1}}
	if !slices.Equal(b.Packing.Segments, want) || b.Packing.Rows != 6 || b.Packing.Triples() != 1 {
		t.Errorf("packing %+v", b.Packing)
	}
}

func TestFeed_WindowsFollowEachOther(t *testing.T) {
	rows := toyRows(3, 10)
	for name, set := range map[string]Settings{
		"rows":   {Size: Size{Rows: 3}, Accumulation: 2, Seed: 1},
		"tokens": {Size: Size{Tokens: 20}, Accumulation: 2, Seed: 1},
	} {
		f, err := newFeed(rows, set)
		if err != nil {
			t.Fatal(err)
		}
		var seen []uint64
		position := int64(0)
		for position < 50 {
			w := f.window(position)
			targets, triples := int64(0), int64(0)
			for _, b := range w.batches {
				if set.Size.Tokens > 0 && len(b.Tokens) > set.Size.Tokens || set.Size.Tokens == 0 && len(b.Packing.Segments) != 3 {
					t.Errorf("%s: a batch of %d rows and %d tokens", name, len(b.Packing.Segments), len(b.Tokens))
				}
				for _, s := range b.Packing.Segments {
					seen = append(seen, s.ID)
					targets += rows[s.ID].targets()
					triples += int64(max(0, s.Len-2))
				}
			}
			if w.targets != targets || w.triples != triples {
				t.Errorf("%s: window of %d targets and %d triples, want %d and %d", name, w.targets, w.triples, targets, triples)
			}
			position += w.rows
		}
		o := newOrder(1, len(rows))
		for i, id := range seen {
			if int(id) != o.row(int64(i)) {
				t.Fatalf("%s: row %d at position %d, want %d", name, id, i, o.row(int64(i)))
			}
		}
	}
}

func TestFeed_RefusesNothingToLearn(t *testing.T) {
	size := Settings{Size: Size{Rows: 1}, Accumulation: 1}
	for name, rows := range map[string][]Row{"none": nil, "no target": {{Tokens: []int32{1, 2}, Learn: []bool{true, false}}}} {
		if _, err := newFeed(rows, size); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// A window without a target takes further rows until it has one.
	f, err := newFeed([]Row{{Tokens: []int32{1, 2}, Learn: []bool{false, false}}, {Tokens: []int32{1, 2}}}, size)
	if err != nil {
		t.Fatal(err)
	}
	for p := range int64(4) {
		if w := f.window(p); w.targets == 0 {
			t.Errorf("window at %d has no target", p)
		}
	}
}

func TestBatches_CoverAllRowsOnce(t *testing.T) {
	rows := toyRows(4, 11)
	for _, size := range []Size{{Rows: 4}, {Tokens: 15}, {Tokens: 1}} {
		n := 0
		for _, b := range batches(rows, size) {
			for _, s := range b.Packing.Segments {
				if int(s.ID) != n {
					t.Fatalf("size %+v: row %d, want %d", size, s.ID, n)
				}
				n++
			}
		}
		if n != len(rows) {
			t.Errorf("size %+v: %d of %d rows", size, n, len(rows))
		}
	}
}

// Each clipping group is limited by its own norm; groups that share a name share the factor.
func TestOptimizer_ClipsEachGroupByItsOwnNorm(t *testing.T) {
	m := newToy(t, 0)
	one := func(name string) tensor.Param { return tensor.NewParam(m.be, name, 1, 2, nil) }
	big, small, also := one("big"), one("small"), one("also")
	o, err := newOptimizer(m.be, AdamW{Beta1: 0, Beta2: 0, Eps: 1, MaxNorm: 1}, []Group{
		{Name: "1", Params: tensor.Params{big}, LRScale: 1, Clip: "x"},
		{Name: "2", Params: tensor.Params{small}, LRScale: 1, Clip: "y"},
		{Name: "3", Params: tensor.Params{also}, LRScale: 1, Clip: "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	give := func(p tensor.Param, x, y float32) {
		p.Tensor().Accumulate(func(dst backend.Buffer, _ float64) { m.be.Upload(dst, []float32{x, y}) })
	}
	give(big, 3, 0)
	give(also, 0, 4)
	give(small, 0.5, 0)
	n := o.norms()
	if n.byClip["x"] != 5 || n.byClip["y"] != 0.5 || math.Abs(n.all-math.Sqrt(25.25)) > 1e-6 {
		t.Fatalf("norms %+v", n)
	}
	if err := o.step(1, 1, n); err != nil {
		t.Fatal(err)
	}
	// With both betas 0 and eps 1 a step is -g/(|g|+1).
	for _, c := range []struct {
		p    tensor.Param
		at   int
		g    float64
		name string
	}{{big, 0, 3. / 5, "big"}, {also, 1, 4. / 5, "also"}, {small, 0, 0.5, "small"}} {
		h := make([]float32, 2)
		m.be.Download(h, c.p.Tensor().Buffer())
		if want := -c.g / (c.g + 1); math.Abs(float64(h[c.at])-want) > 1e-5 { // 1e-6 in the factor
			t.Errorf("%s moved to %v, want %v", c.name, h[c.at], want)
		}
		if c.p.HasGrad() {
			t.Errorf("%s keeps its gradient", c.name)
		}
	}
	also.State = nil
	give(also, 1, 1)
	if err := o.step(2, 1, o.norms()); err == nil {
		t.Error("a parameter without moments passed")
	}
}
