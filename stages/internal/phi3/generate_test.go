package phi3

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
)

// Fed as a prompt and a token at a time, in any cut, a session gives the full forward
// pass's logits; at the 65th token the rotary factors change and everything runs again.
func TestSession_EqualsFullForward(t *testing.T) {
	f := openFixture(t, "logits.safetensors")
	r := runner(t, reference(t), load(t, "tiny-phi3", StoreNative), 100, nil)
	ids := f.ints("phi3.seq100.ids")[:70]
	s, err := r.NewSession(70)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	for at, cut := range []int{1, 8, 30, 31, 32, 63, 64, 65, 66, 70} {
		got, err := s.Feed(ids[s.Len():cut]...)
		if err != nil {
			t.Fatal(err)
		}
		want, err := r.LastLogits(ids[:cut])
		if err != nil {
			t.Fatal(err)
		}
		if d := far(got, want); d > 1e-5 {
			t.Errorf("feed %d: after %d tokens the logits are off by %g", at, cut, d)
		}
	}
	if _, err := s.Feed(1); err == nil {
		t.Error("a full session took another token")
	}
}

func TestGenerate(t *testing.T) {
	r := runner(t, reference(t), load(t, "tiny-phi3", StoreNative), 80, nil)
	prompt := sequence(55).ids // ten tokens on, the long rotary factors begin
	var streamed []int32
	out, why, err := r.Generate(context.Background(), prompt, Generation{MaxNew: 14, Token: func(id int32) { streamed = append(streamed, id) }})
	if err != nil || why != OutOfRoom || len(out) != 14 || !slices.Equal(out, streamed) {
		t.Fatalf("%d tokens, %d streamed, %q, %v", len(out), len(streamed), why, err)
	}
	// Greedy by hand, with full forward passes.
	ids := slices.Clone(prompt)
	for _, id := range out {
		logits, err := r.LastLogits(ids)
		if err != nil {
			t.Fatal(err)
		}
		if want := Greedy(logits); want != id {
			t.Fatalf("token %d is %d, the full pass says %d", len(ids)-len(prompt), id, want)
		}
		ids = append(ids, id)
	}
	at := slices.Index(out, out[6])
	cut, why, err := r.Generate(context.Background(), prompt, Generation{MaxNew: 14, Stop: []int32{out[6]}})
	if err != nil || why != Stopped || !slices.Equal(cut, out[:at]) {
		t.Errorf("stop token: %d tokens, %q, %v", len(cut), why, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := r.Generate(ctx, prompt, Generation{MaxNew: 5}); err == nil {
		t.Error("a cancelled generation went on")
	}
	if _, _, err := r.Generate(context.Background(), sequence(90).ids, Generation{MaxNew: 1}); err == nil {
		t.Error("a prompt longer than the context was accepted")
	}
}

// Side by side gives what one after the other gives: with more prompts than slots, stops
// at different times, and sequences that cross over to the long rotary factors.
func TestGenerateMany_EqualsGenerate(t *testing.T) {
	r := runner(t, reference(t), load(t, "tiny-phi3", StoreNative), 80, loraFixture(t))
	var prompts [][]int32
	for i := range manySlots + 9 {
		prompts = append(prompts, sequence(1+(i*29)%75).ids)
	}
	first, _, err := r.Generate(context.Background(), prompts[3], Generation{MaxNew: 8})
	if err != nil {
		t.Fatal(err)
	}
	g := Generation{MaxNew: 8, Stop: []int32{first[4]}}
	var told []int
	got, why, err := r.GenerateMany(context.Background(), prompts, g, func(n int) { told = append(told, n) })
	if err != nil || told[len(told)-1] != len(prompts) || !slices.IsSorted(told) {
		t.Fatalf("%v, %v", told, err)
	}
	reasons := map[Reason]int{}
	for i, p := range prompts {
		want, reason, err := r.Generate(context.Background(), p, g)
		if err != nil || !slices.Equal(got[i], want) || why[i] != reason {
			t.Errorf("prompt %d: %v (%s); alone %v (%s), %v", i, got[i], why[i], want, reason, err)
		}
		reasons[reason]++
	}
	if reasons[Stopped] == 0 || reasons[OutOfRoom] == 0 {
		t.Errorf("the prompts end in one way only: %v", reasons)
	}
}

func TestGenerateMany_Edges(t *testing.T) {
	r := runner(t, reference(t), load(t, "tiny-phi3", StoreNative), 20, nil)
	ctx := context.Background()
	if out, _, err := r.GenerateMany(ctx, nil, Generation{MaxNew: 3}, nil); err != nil || len(out) != 0 {
		t.Errorf("no prompt: %v, %v", out, err)
	}
	if out, why, err := r.GenerateMany(ctx, [][]int32{{1}, {2}}, Generation{}, nil); err != nil || out[1] != nil || why[1] != OutOfRoom {
		t.Errorf("no new token: %v, %v, %v", out, why, err)
	}
	for _, bad := range [][]int32{{}, make([]int32, 21), {-4}} {
		if _, _, err := r.GenerateMany(ctx, [][]int32{{1}, bad}, Generation{MaxNew: 3}, nil); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := r.GenerateMany(cancelled, [][]int32{{1}}, Generation{MaxNew: 3}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSampler(t *testing.T) {
	logits := []float32{0, float32(math.Log(3)), float32(math.Inf(-1)), 0}
	draw := func(temperature float64, seed uint64) (counts [4]int) {
		choose := Sampler(temperature, seed)
		for range 5000 {
			counts[choose(logits)]++
		}
		return counts
	}
	got := draw(1, 1) // probabilities 1/5, 3/5, 0, 1/5; deviation of a count at most 35
	if got[2] != 0 || math.Abs(float64(got[1])-3000) > 140 || math.Abs(float64(got[0])-1000) > 115 {
		t.Errorf("drawn %v", got)
	}
	if again := draw(1, 1); again != got {
		t.Errorf("the same seed draws %v, then %v", got, again)
	}
	if other := draw(1, 2); other == got {
		t.Error("another seed draws the same")
	}
	if cold := draw(0.05, 1); cold[1] != 5000 {
		t.Errorf("at a low temperature: %v", cold)
	}
	if zero := draw(0, 1); zero[1] != 5000 {
		t.Errorf("at temperature 0: %v", zero)
	}
}
