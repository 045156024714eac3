package phi3

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/so8t/so8t/stages/internal/so8t"
)

// collect puts the vocabulary's chunks of every side together. [side][ΣT, V]
func collect(t *testing.T, mc machine, c *Config, sides []Side, seqs [][]int32) [][]float32 {
	t.Helper()
	rows := 0
	for _, s := range seqs {
		rows += len(s)
	}
	out := make([][]float32, len(sides))
	next, layers := 0, 0
	l := Lockstep{Backend: mc.open(t), Config: c, Sides: sides, Layer: func(done int) { layers = done }, chunkBytes: 24 * 4 * c.Hidden} // 24 rows
	err := l.Run(t.Context(), seqs, func(first, n int, logits [][]float32) error {
		if first != next {
			t.Errorf("entries from %d on, expected %d", first, next)
		}
		next += n
		for k, part := range logits {
			if out[k] == nil {
				out[k] = make([]float32, rows*c.Vocab)
			}
			for r := range rows {
				copy(out[k][r*c.Vocab+first:], part[r*n:(r+1)*n])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if next != c.Vocab || layers != c.Layers {
		t.Errorf("%d entries and %d layers", next, layers)
	}
	return out
}

// Every side gives what a runner of its weights and adapter gives.
func TestLockstep_EqualsRunner(t *testing.T) {
	f, err := OpenFolder("testdata/tiny-phi3")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a := &so8t.Adapter{LoRA: loraFixture(t).LoRA, Gates: gatesFixture(openFixture(t, "gated.safetensors"), "lora_and_gates")}
	m, err := NewMerged(f.Config, f, a)
	if err != nil {
		t.Fatal(err)
	}
	seqs := [][]int32{sequence(7).ids, sequence(80).ids, sequence(1).ids} // 80 takes the long factors
	for _, mc := range machines {
		t.Run(mc.name, func(t *testing.T) {
			base := load(t, "tiny-phi3", StoreNative)
			got := collect(t, mc, f.Config, []Side{{f, a}, {f, nil}, {m, nil}}, seqs)
			for k, r := range []*Runner{runner(t, mc.open(t), base, 100, a), runner(t, mc.open(t), base, 100, nil), runner(t, mc.open(t), merged(t, a), 100, nil)} {
				want, err := r.Logits(seqs...)
				if err != nil {
					t.Fatal(err)
				}
				if d := far(got[k], want); d > max(mc.logits/10, 1e-6) {
					t.Errorf("side %d is off by %g", k, d)
				}
			}
			if d := far(got[0], got[1]); d < 0.1 {
				t.Errorf("the adapter changes only %g: nothing is shown", d)
			}
		})
	}
}

func TestLockstep_Untied(t *testing.T) {
	for _, mc := range machines {
		f, err := OpenFolder("testdata/tiny-phi3-b")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		seqs := [][]int32{openFixture(t, "logits.safetensors").ints("b.seq33.ids")}
		want, err := runner(t, mc.open(t), load(t, "tiny-phi3-b", StoreNative), 100, nil).Logits(seqs...)
		if err != nil {
			t.Fatal(err)
		}
		if d := far(collect(t, mc, f.Config, []Side{{f, nil}}, seqs)[0], want); d > max(mc.logits/10, 1e-6) {
			t.Errorf("%s is off by %g", mc.name, d)
		}
	}
}

func TestLockstep_Ends(t *testing.T) {
	f, err := OpenFolder("testdata/tiny-phi3")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l := Lockstep{Backend: single(t), Config: f.Config, Sides: []Side{{f, nil}}}
	stop := errors.New("enough")
	if err := l.Run(t.Context(), [][]int32{{1}}, func(int, int, [][]float32) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the caller's error became %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx, [][]int32{{1}}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, seqs := range [][][]int32{{{}}, {{-1}}, {{int32(f.Config.Vocab)}}, {make([]int32, f.Config.MaxPositions+1)}} {
		if err := l.Run(t.Context(), seqs, nil); err == nil {
			t.Errorf("a sequence of %d was accepted", len(seqs[0]))
		}
	}
}

// A base as it was kept gives the logits of a runner that keeps it so.
func TestKept_EqualsTheStorage(t *testing.T) {
	f, err := OpenFolder("testdata/tiny-phi3")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seqs := [][]int32{sequence(33).ids}
	plain := collect(t, machines[0], f.Config, []Side{{f, nil}}, seqs)[0]
	for store, differs := range map[Storage]bool{StoreNative: false, StoreF32: false, StoreBF16: true, StoreInt8: true, StoreNF4: true} {
		t.Run(fmt.Sprint(store), func(t *testing.T) {
			kept, changed := NewKept(f, store)
			if changed != differs {
				t.Errorf("differs: %v", changed)
			}
			if !differs {
				return
			}
			want, err := runner(t, reference(t), load(t, "tiny-phi3", store), 100, nil).Logits(seqs...)
			if err != nil {
				t.Fatal(err)
			}
			got := collect(t, machines[0], f.Config, []Side{{kept, nil}}, seqs)[0]
			if d := far(got, want); d > 1e-5 {
				t.Errorf("off by %g", d)
			}
			if d := far(got, plain); d < 1e-3 {
				t.Errorf("the storage changes only %g", d)
			}
			if kept.ReadFloats(moduleName(0, O), 0, make([]float32, 64*64+1)) == nil {
				t.Error("a read past the end was answered")
			}
		})
	}
}

// With From, the logits are those of the positions from there on; what is shorter has none.
func TestLockstep_From(t *testing.T) {
	f, err := OpenFolder("testdata/tiny-phi3")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const from = 3
	seqs := [][]int32{sequence(7).ids, sequence(2).ids, sequence(20).ids}
	run := func(from int) (all [][]float32) {
		l := Lockstep{Backend: machines[0].open(t), Config: f.Config, Sides: []Side{{Source: f}}, From: from}
		if err := l.Run(t.Context(), seqs, func(first, n int, logits [][]float32) error {
			for at := 0; at < len(logits[0]); at += n {
				if at/n == len(all) {
					all = append(all, nil)
				}
				all[at/n] = append(all[at/n], logits[0][at:at+n]...)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	whole := run(0)
	if want := slices.Concat(whole[from:7], whole[7+2+from:]); !reflect.DeepEqual(run(from), want) {
		t.Errorf("%d rows, want %d, or other numbers", len(run(from)), len(want))
	}
}
