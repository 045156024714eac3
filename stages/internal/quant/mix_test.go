package quant

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
)

// mixTable is testdata/type-mix.json: what llama-quantize --dry-run of llama.cpp 0c1e57098 chose.
// A role's types are one name for all layers, or the layers by name.
type mixTable struct {
	ByLayerCount map[int]map[string]json.RawMessage      `json:"by_layer_count"`
	Odd          map[string]map[string]map[string]string `json:"odd"`
}

func readMixes(t *testing.T) (table mixTable) {
	t.Helper()
	b, err := os.ReadFile("testdata/type-mix.json")
	if err == nil {
		err = json.Unmarshal(b, &table)
	}
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func mix(t *testing.T, name string) Mix {
	t.Helper()
	m, err := ParseMix(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMix_ByLayerCount(t *testing.T) {
	for layers, roles := range readMixes(t).ByLayerCount {
		for key, raw := range roles {
			var name, role, whole string
			var byType map[string][]int
			if _, err := fmt.Sscan(key, &name, &role); err != nil {
				t.Fatal(err)
			}
			if json.Unmarshal(raw, &whole) != nil {
				if err := json.Unmarshal(raw, &byType); err != nil {
					t.Fatal(err)
				}
			}
			for layer := range layers {
				x := Matrix{Name: fmt.Sprintf("blk.%d.%s.weight", layer, role), Columns: 256, Layer: layer, Layers: layers, Tied: true}
				if role == "token_embd" {
					x.Name, x.Layer = embeddingName, -1
				}
				want := whole
				for typ, list := range byType {
					if slices.Contains(list, layer) {
						want = typ
					}
				}
				if got := mix(t, name).For(x).String(); got != want {
					t.Errorf("%s, %s, layer %d of %d: %s, want %s", name, role, layer, layers, got, want)
				}
			}
		}
	}
}

// Widths that the blocks do not divide, and a head of its own.
func TestMix_OddShapes(t *testing.T) {
	for shape, byMix := range readMixes(t).Odd {
		hidden, intermediate := 256, 512
		if _, err := fmt.Sscanf(shape, "hidden %d, inter %d", &hidden, &intermediate); err != nil {
			_, _ = fmt.Sscanf(shape, "hidden %d (not a multiple of 256), inter %d", &hidden, &intermediate)
		}
		for name, tensors := range byMix {
			for tensor, want := range tensors {
				_, untied := tensors[outputName]
				x := Matrix{Name: tensor, Columns: hidden, Layer: -1, Layers: 2, Tied: !untied}
				var role string
				if _, err := fmt.Sscanf(tensor, "blk.%d.%s", &x.Layer, &role); err == nil && role == "ffn_down.weight" {
					x.Columns = intermediate
				}
				if got := mix(t, name).For(x).String(); got != want {
					t.Errorf("%s, %s, %s: %s, want %s", shape, name, tensor, got, want)
				}
			}
		}
	}
}

// What llama-quantize of the same commit chose with --output-tensor-type and
// --token-embedding-type, and for the mixes that the table does not have.
func TestMix_OverridesAndSmallMixes(t *testing.T) {
	q4 := mix(t, "Q4_K_M")
	for _, c := range []struct {
		mix  Mix
		x    Matrix
		want string
	}{
		{q4.WithOutput(Q8_0), Matrix{Name: embeddingName, Tied: true}, "Q8_0"},
		{q4.WithOutput(Q8_0), Matrix{Name: embeddingName}, "Q4_K"},
		{q4.WithOutput(Q8_0), Matrix{Name: outputName}, "Q8_0"},
		{q4.WithEmbedding(Q8_0), Matrix{Name: embeddingName, Tied: true}, "Q8_0"},
		{q4.WithEmbedding(Q8_0), Matrix{Name: outputName}, "Q6_K"},
		{q4.WithOutput(Q8_0).WithEmbedding(Q5K), Matrix{Name: embeddingName, Tied: true}, "Q5_K"},
		{mix(t, "Q4_K_S"), Matrix{Name: "blk.3.attn_qkv.weight", Layer: 3, Layers: 40}, "Q5_K"},
		{mix(t, "Q4_K_S"), Matrix{Name: "blk.4.attn_qkv.weight", Layer: 4, Layers: 40}, "Q4_K"},
		{mix(t, "Q4_K_S"), Matrix{Name: "blk.4.ffn_down.weight", Layer: 4, Layers: 40}, "Q5_K"},
		{mix(t, "Q4_K_S"), Matrix{Name: "blk.5.ffn_down.weight", Layer: 5, Layers: 40}, "Q4_K"},
		{mix(t, "Q3_K_M"), Matrix{Name: "blk.1.attn_qkv.weight", Layer: 1, Layers: 40}, "Q5_K"},
		{mix(t, "Q3_K_M"), Matrix{Name: "blk.2.attn_qkv.weight", Layer: 2, Layers: 40}, "Q4_K"},
		{mix(t, "Q3_K_M"), Matrix{Name: "blk.1.ffn_down.weight", Layer: 1, Layers: 40}, "Q5_K"},
		{mix(t, "Q3_K_M"), Matrix{Name: "blk.2.ffn_down.weight", Layer: 2, Layers: 40}, "Q4_K"},
		{mix(t, "Q3_K_M"), Matrix{Name: "blk.2.attn_output.weight", Layer: 2, Layers: 40}, "Q4_K"},
		{mix(t, "Q3_K_M"), Matrix{Name: "blk.2.ffn_up.weight", Layer: 2, Layers: 40}, "Q3_K"},
		{mix(t, "Q4_0"), Matrix{Name: "blk.0.ffn_down.weight", Layers: 8, Importance: true}, "Q4_1"},
		{mix(t, "Q5_0"), Matrix{Name: "blk.0.ffn_down.weight", Layers: 8, Importance: true}, "Q5_1"},
		{mix(t, "Q5_0"), Matrix{Name: "blk.0.ffn_down.weight", Layers: 8}, "Q5_0"},
		{mix(t, "F16"), Matrix{Name: outputName}, "F16"},
	} {
		c.x.Columns = 256
		if got := c.mix.For(c.x).String(); got != c.want {
			t.Errorf("%v, %+v: %s, want %s", c.mix, c.x, got, c.want)
		}
	}
	if got := mix(t, "Q3_K_M").For(Matrix{Name: "blk.0.ffn_up.weight", Columns: 320, Layers: 1}); got != Q4_0 {
		t.Errorf("rows of 320 in Q3_K: %v", got)
	}
}
