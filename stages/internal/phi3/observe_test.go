package phi3

import "testing"

// Every projection is shown once a token row, in the order of the forward pass, and the result is
// the same as unobserved.
func TestRunner_ObserveShowsWhatGoesIn(t *testing.T) {
	r := runner(t, single(t), load(t, "tiny-phi3", StoreNative), 100, nil)
	ids := sequence(20).ids
	want, err := r.Logits(ids)
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	r.Observe(func(layer int, module string, rows []float32) {
		if _, in := r.Config.ModuleShape(module); len(rows) != len(ids)*in {
			t.Errorf("%s: %d numbers", module, len(rows))
		}
		seen = append(seen, ModulePath(layer, module))
	})
	got, err := r.Logits(ids)
	if err != nil {
		t.Fatal(err)
	}
	r.Observe(nil)
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("logit %d changed", i)
		}
	}
	var expected []string
	for layer := range r.Config.Layers {
		for _, module := range Modules {
			expected = append(expected, ModulePath(layer, module))
		}
	}
	if len(seen) != len(expected) {
		t.Fatalf("%d projections were shown, want %d", len(seen), len(expected))
	}
	for i := range seen {
		if seen[i] != expected[i] {
			t.Errorf("%d: %s, want %s", i, seen[i], expected[i])
		}
	}
}
