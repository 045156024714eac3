package phi3

import (
	"math"
	"testing"
)

func TestRopeTable_EqualsReference(t *testing.T) {
	f := openFixture(t, "rope.safetensors")
	mini := phi4miniConfig(t)
	mini.Rope.Short, mini.Rope.Long = ones(48), phi4miniLong
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

// phi4miniLong are Phi-4-mini's long factors.
var phi4miniLong = []float64{1, 1.118320672, 1.250641126, 1.398617824, 1.564103225, 1.74916897, 1.956131817, 2.187582649,
	2.446418898, 2.735880826, 3.059592084, 3.421605075, 3.826451687, 4.279200023, 4.785517845, 5.351743533, 5.984965424, 6.693110555,
	7.485043894, 8.370679318, 9.36110372, 10.4687158, 11.70738129, 13.09260651, 14.64173252, 16.37415215, 18.31155283, 20.47818807,
	22.90118105, 25.61086418, 28.64115884, 32.03, 32.1, 32.13, 32.23, 32.6, 32.61, 32.64, 32.66, 32.7, 32.71, 32.93, 32.97, 33.28,
	33.49, 33.5, 44.16, 47.77}

func TestDefaultAttentionFactor(t *testing.T) {
	if f := DefaultAttentionFactor(512, 64); math.Abs(f-1.224744871391589) > 1e-15 {
		t.Errorf("512 over 64: %v", f)
	}
	if f := DefaultAttentionFactor(256, 256); f != 1 {
		t.Errorf("without extension: %v", f)
	}
}
