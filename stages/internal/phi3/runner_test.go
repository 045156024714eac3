package phi3

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// runner of a testdata model, for sequences of up to maxLen tokens.
func runner(t *testing.T, be backend.Backend, w *Weights, maxLen int, a *so8t.Adapter) *Runner {
	t.Helper()
	b, err := NewBase(be, w, maxLen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Release)
	r, err := NewRunner(b, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Release)
	return r
}

func TestRunner_Logits(t *testing.T) {
	f := openFixture(t, "logits.safetensors")
	for _, mc := range machines {
		for _, c := range []struct {
			name, model string
			lengths     []int
		}{{"phi3", "tiny-phi3", []int{1, 7, 33, 64, 65, 100}}, {"b", "tiny-phi3-b", []int{1, 7, 33, 80}}} {
			r := runner(t, mc.open(t), load(t, c.model, StoreNative), 100, nil)
			for _, n := range c.lengths {
				t.Run(fmt.Sprintf("%s/%s/%d", mc.name, c.name, n), func(t *testing.T) {
					prefix := fmt.Sprintf("%s.seq%d.", c.name, n)
					got, err := r.Logits(f.ints(prefix + "ids"))
					if err != nil {
						t.Fatal(err)
					}
					compareRows(t, got, r.Config.Vocab, f.ints(prefix+"positions"), f.f64(prefix+"logits_f64"), mc.logits)
					compareSummary(t, f, prefix, got, r.Config.Vocab, mc.logits)
				})
			}
		}
	}
}

func compareRows(t *testing.T, got []float32, vocab int, rows []int32, want []float64, limit float64) {
	t.Helper()
	limit = max(limit, 1e-6) // logits are handed out as f32
	for i, p := range rows {
		if d := far(got[int(p)*vocab:][:vocab], want[i*vocab:][:vocab]); d > limit {
			t.Errorf("logits at %d are off by %g", p, d)
		}
	}
}

// compareSummary compares every position by its log-sum-exp and largest logit.
func compareSummary(t *testing.T, f fixture, prefix string, got []float32, vocab int, limit float64) {
	t.Helper()
	lse, argmax := f.f64(prefix+"lse_f64"), f.ints(prefix+"argmax")
	for p := range lse {
		row := got[p*vocab:][:vocab]
		sum := 0.0
		for _, v := range row {
			sum += math.Exp(float64(v))
		}
		if d := math.Abs(math.Log(sum) - lse[p]); d > max(limit, 1e-6) {
			t.Errorf("log-sum-exp at %d is off by %g", p, d)
		}
		if best := Greedy(row); best != argmax[p] {
			t.Errorf("position %d: most probable is %d, expected %d", p, best, argmax[p])
		}
	}
}

// A packed row, cut into its segments, gives what each gives alone, also when one takes
// the long rotary factors and the other does not.
func TestRunner_PackedEqualsSeparate(t *testing.T) {
	f := openFixture(t, "logits.safetensors")
	for _, c := range []struct{ name, model string }{{"phi3", "tiny-phi3"}, {"b", "tiny-phi3-b"}} {
		r := runner(t, reference(t), load(t, c.model, StoreNative), 100, nil)
		ids, segments := f.ints(c.name+".packed.ids"), f.ints(c.name+".packed.segments")
		cut := slices.Index(segments, 1)
		first, second := ids[:cut], ids[cut:slices.Index(segments, -1)]
		got, err := r.Logits(first, second)
		if err != nil {
			t.Fatal(err)
		}
		V := r.Config.Vocab
		compareRows(t, got, V, f.ints(c.name+".packed.first_positions"), f.f64(c.name+".packed.first_logits_f64"), 1e-6)
		compareRows(t, got[cut*V:], V, f.ints(c.name+".packed.second_positions"), f.f64(c.name+".packed.second_logits_f64"), 1e-6)
	}
	r := runner(t, reference(t), load(t, "tiny-phi3", StoreNative), 100, nil)
	short, long := f.ints("phi3.seq33.ids"), f.ints("phi3.seq100.ids")
	got, err := r.LastLogits(long, short)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := r.LastLogits(short)
	if err != nil {
		t.Fatal(err)
	}
	if d := far(got[r.Config.Vocab:], alone); d > 1e-6 {
		t.Errorf("a long neighbour moves a short sequence's logits by %g", d)
	}
}

func TestRunner_BF16Sharded(t *testing.T) {
	f := openFixture(t, "logits.safetensors")
	for _, mc := range machines {
		for _, store := range []Storage{StoreNative, StoreF32, StoreBF16} {
			r := runner(t, mc.open(t), load(t, "tiny-phi3-bf16-sharded", store), 16, nil)
			got, err := r.LastLogits(f.ints("bf16.seq7.ids"))
			if err != nil {
				t.Fatal(err)
			}
			if d := far(got, f.f64("bf16.seq7.last_logits_f64")); d > max(mc.logits, 1e-6) {
				t.Errorf("%s, %s: off by %g", mc.name, store, d)
			}
		}
	}
}

// Row-wise int8 keeps weights to 1/254 of a row's largest; on logits of deviation 2.4 that
// is a few hundredths.
func TestRunner_Int8IsNear(t *testing.T) {
	f := openFixture(t, "logits.safetensors")
	for _, mc := range machines {
		r := runner(t, mc.open(t), load(t, "tiny-phi3", StoreInt8), 40, nil)
		got, err := r.Logits(f.ints("phi3.seq33.ids"))
		if err != nil {
			t.Fatal(err)
		}
		V, square, n := r.Config.Vocab, 0.0, 0
		for i, p := range f.ints("phi3.seq33.positions") {
			want := f.f64("phi3.seq33.logits_f64")[i*V:][:V]
			for k, v := range got[int(p)*V:][:V] {
				square += (float64(v) - want[k]) * (float64(v) - want[k])
				n++
			}
		}
		if rms := math.Sqrt(square / float64(n)); rms > 0.1 || rms < 1e-3 {
			t.Errorf("%s: int8 moves the logits by %g (root mean square)", mc.name, rms)
		}
	}
}

// rows cuts a fixture's batch into its sequences.
func rows(b Batch) (out [][]int32) {
	for _, s := range b.Packing.Segments {
		out = append(out, b.Tokens[s.Start:s.Start+s.Len])
	}
	return out
}

// The adapter beside the weights and inside them give the fixture's logits; so do gates
// applied and folded.
func TestRunner_AdapterAppliedAndMerged(t *testing.T) {
	gated, lora := openFixture(t, "gated.safetensors"), openFixture(t, "grad_phi3.safetensors")
	for _, c := range []struct {
		name   string
		f      fixture
		prefix string
		a      *so8t.Adapter
		want   string
	}{
		{"lora", lora, "phi3.lora.", loraFixture(t), "phi3.lora.last_logits_f64"},
		{"all_layers", gated, "model.", &so8t.Adapter{Gates: gatesFixture(gated, "all_layers")}, "model.all_layers.last_logits"},
		{"middle_layers", gated, "model.", &so8t.Adapter{Gates: gatesFixture(gated, "middle_layers")}, "model.middle_layers.last_logits"},
		{"lora_and_gates", gated, "model.", &so8t.Adapter{LoRA: loraFixture(t).LoRA, Gates: gatesFixture(gated, "lora_and_gates")}, "model.lora_and_gates.last_logits"},
	} {
		for _, mc := range machines {
			t.Run(mc.name+"/"+c.name, func(t *testing.T) {
				want := c.f.f64(c.want)
				be := mc.open(t)
				base := load(t, "tiny-phi3", StoreNative)
				limit := max(mc.logits, 2e-5) // theta and merged weights are rounded to f32
				for _, r := range []*Runner{runner(t, be, base, 32, c.a), runner(t, be, merged(t, c.a), 32, nil)} {
					got, err := r.LastLogits(rows(c.f.batchOf(c.prefix))...)
					if err != nil {
						t.Fatal(err)
					}
					if d := far(got, want); d > limit {
						t.Errorf("off by %g", d)
					}
				}
				if c.a.LoRA == nil {
					plain, err := runner(t, be, base, 32, c.a.WithoutGates()).LastLogits(rows(c.f.batchOf(c.prefix))...)
					if err != nil || far(plain, want) < 1e-3 {
						t.Errorf("without its gates the model is off by %g only, %v", far(plain, want), err)
					}
				}
			})
		}
	}
}

// merged loads tiny-phi3 with an adapter inside.
func merged(t *testing.T, a *so8t.Adapter) *Weights {
	t.Helper()
	f, err := OpenFolder("testdata/tiny-phi3")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	m, err := NewMerged(f.Config, f, a)
	if err != nil {
		t.Fatal(err)
	}
	w, err := Load(f.Config, m, StoreNative)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestRunner_ScoreEqualsLogits(t *testing.T) {
	r := runner(t, reference(t), load(t, "tiny-phi3", StoreNative), 100, loraFixture(t))
	var questions []Question
	for i := range 5 {
		prompt := sequence(5 + 11*i).ids
		questions = append(questions, Question{prompt, [][]int32{{7, 8, 100, 101, 102}, {7, 8, 200}, {7, 8, 100, 5}, {7, 8, 300, 301}}})
	}
	questions = append(questions, Question{sequence(9).ids, [][]int32{{1, 2, 3}}}, Question{nil, [][]int32{{4, 5}, {4, 6, 7}}})
	var told []int
	got, err := r.Score(questions, func(done int) { told = append(told, done) })
	if err != nil || len(got) != len(questions) || told[len(told)-1] != len(questions) {
		t.Fatalf("%d answers, %v, %v", len(got), told, err)
	}
	skip := []int{2, 2, 2, 2, 2, 0, 1} // length of the continuations' common beginning
	for i, q := range questions {
		for k, c := range q.Continuations {
			want := 0.0
			for _, lp := range logProbs(t, r, slices.Concat(q.Prompt, c))[len(q.Prompt)+skip[i]-1:] {
				want += lp
			}
			if math.Abs(got[i][k]-want) > 1e-5 {
				t.Errorf("question %d, continuation %d: %v, expected %v", i, k, got[i][k], want)
			}
		}
	}
}

// logProbs is log p(ids[t+1] | ids[:t+1]) for every t, from the full logits.
func logProbs(t *testing.T, r *Runner, ids []int32) (out []float64) {
	t.Helper()
	logits, err := r.Logits(ids)
	if err != nil {
		t.Fatal(err)
	}
	V := r.Config.Vocab
	for p, next := range ids[1:] {
		row := logits[p*V:][:V]
		total := 0.0
		for _, v := range row {
			total += math.Exp(float64(v))
		}
		out = append(out, float64(row[next])-math.Log(total))
	}
	return out
}

func TestRunner_EachLogitsAndNLL(t *testing.T) {
	r := runner(t, single(t), load(t, "tiny-phi3", StoreNative), 100, nil)
	ids := sequence(60).ids
	want, err := r.Logits(ids)
	if err != nil {
		t.Fatal(err)
	}
	V, next := r.Config.Vocab, 7
	err = r.EachLogits(ids, 7, 59, func(position int, rows []float32) error {
		if position != next || !slices.Equal(rows, want[position*V:][:len(rows)]) {
			t.Errorf("rows from %d on differ (expected %d next)", position, next)
		}
		next += len(rows) / V
		return nil
	})
	if err != nil || next != 59 {
		t.Errorf("ended at %d, %v", next, err)
	}
	stop := errors.New("enough")
	if err := r.EachLogits(ids, 0, 60, func(int, []float32) error { return stop }); err != stop {
		t.Errorf("the caller's error became %v", err)
	}
	if r.EachLogits(ids, 0, 61, nil) == nil || r.EachLogits(ids, 5, 4, nil) == nil {
		t.Error("positions outside the sequence were accepted")
	}
	b := join(sequence(60), sequence(21))
	nll, err := r.NLL(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range b.Packing.Segments {
		for p, lp := range logProbs(t, r, b.Tokens[s.Start:][:s.Len]) {
			expected := -lp
			if b.Targets[s.Start+p] < 0 {
				expected = 0
			}
			if math.Abs(nll[s.Start+p]-expected) > 1e-4 { // f32 sums over 4128 logits
				t.Fatalf("-log p at %d is %v, expected %v", s.Start+p, nll[s.Start+p], expected)
			}
		}
	}
	b.Targets = b.Targets[1:]
	if _, err := r.NLL(b); err == nil {
		t.Error("a batch with too few targets was accepted")
	}
}

func TestRunner_ScoreRefuses(t *testing.T) {
	r := runner(t, reference(t), load(t, "tiny-phi3", StoreNative), 8, nil)
	for name, q := range map[string]Question{
		"nothing to compare": {[]int32{1}, nil},
		"no prompt":          {nil, [][]int32{{1}, {2}}},
		"too long":           {make([]int32, 7), [][]int32{{1, 2}, {3}}},
		"bad token":          {[]int32{1}, [][]int32{{2}, {5000}}},
		"bad prompt":         {[]int32{-1}, [][]int32{{2}, {3}}},
	} {
		if got, err := r.Score([]Question{q}, nil); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRunner_RefusesBadTokens(t *testing.T) {
	r := runner(t, reference(t), load(t, "tiny-phi3", StoreNative), 8, nil)
	for _, ids := range [][]int32{{}, {-1}, {4128}, make([]int32, 9)} {
		if _, err := r.Logits(ids); err == nil {
			t.Errorf("%v was accepted", ids)
		}
	}
}
