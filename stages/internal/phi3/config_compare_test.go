package phi3

import (
	"slices"
	"strings"
	"testing"
)

func TestConfig_Differences(t *testing.T) {
	if d := Phi4Mini().Differences(Phi4Mini()); d != nil {
		t.Errorf("a configuration differs from itself in %v", d)
	}
	for name, change := range map[string]func(c *Config){
		"rms_norm_eps":   func(c *Config) { c.RMSEps = 1e-6 },
		"rope_scaling":   func(c *Config) { c.Rope.Long = slices.Concat(c.Rope.Long[:47], []float64{48}) },
		"rope_theta":     func(c *Config) { c.RopeTheta = 1e6 },
		"sliding_window": func(c *Config) { c.SlidingWindow = 0 },
		"vocab_size":     func(c *Config) { c.Vocab++ },
	} {
		other := Phi4Mini()
		change(other)
		if d := Phi4Mini().Differences(other); len(d) != 1 || !strings.HasPrefix(d[0], name) {
			t.Errorf("%s: %v", name, d)
		}
	}
	other := Phi4Mini()
	other.Rope, other.InitRange = nil, 1
	if d := Phi4Mini().Differences(other); !slices.Equal(d, []string{"rope_scaling"}) {
		t.Errorf("no rope factors: %v", d)
	}
}
