package phi3

import (
	"math"
	"testing"
)

func TestRopeTable_EqualsReference(t *testing.T) {
	f := openFixture(t, "rope.safetensors")
	mini := phi4miniConfig(t)
	mini.Rope.Short, mini.Rope.Long = ones(48), phi4MiniLong
	models := map[string]*Config{"phi4mini": mini}
	for name, dir := range map[string]string{"phi3": "tiny-phi3", "b": "tiny-phi3-b"} {
		c, err := ReadConfig("testdata/" + dir)
		if err != nil {
			t.Fatal(err)
		}
		models[name] = c
	}
	for _, c := range []struct {
		name   string
		long   bool
		maxLen int
	}{{"phi4mini.short", false, 4096}, {"phi4mini.long", true, 131072}, {"phi3.short", false, 64}, {"phi3.long", true, 512}, {"b.short", false, 256}} {
		model := models[c.name[:len(c.name)-len(map[bool]string{false: ".short", true: ".long"}[c.long])]]
		want := f.f64(c.name + ".inv_freq_f64")
		if d := far(model.InvFreq(c.long), want); d > 1e-15 {
			t.Errorf("%s: frequencies are off by %g", c.name, d)
		}
		table := model.newRopeTable(c.maxLen)
		half := model.RotaryDim() / 2
		for i, p := range f.ints(c.name + ".positions") {
			row := int(table.row(int(p), c.long)) * half
			// An angle p·f is known to p·1e-16·f, so cos and sin to about 131071·1e-16.
			const limit = 1e-10
			if d := far(table.cos[row:row+half], f.f64(c.name + ".cos_f64")[i*half:][:half]); d > limit {
				t.Errorf("%s: cos at %d is off by %g", c.name, p, d)
			}
			if d := far(table.sin[row:row+half], f.f64(c.name + ".sin_f64")[i*half:][:half]); d > limit {
				t.Errorf("%s: sin at %d is off by %g", c.name, p, d)
			}
		}
	}
}

func ones(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

func TestDefaultAttentionFactor(t *testing.T) {
	if f := DefaultAttentionFactor(512, 64); math.Abs(f-1.224744871391589) > 1e-15 {
		t.Errorf("512 over 64: %v", f)
	}
	if f := DefaultAttentionFactor(256, 256); f != 1 {
		t.Errorf("without extension: %v", f)
	}
}
