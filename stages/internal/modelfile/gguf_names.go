package modelfile

import (
	"fmt"
	"sort"
	"strings"

	"github.com/so8t/so8t/stages/internal/phi3"
)

// Names of the rotary factors, which Hugging Face keeps in config.json.
const (
	ropeLong  = "rope_factors_long.weight"
	ropeShort = "rope_factors_short.weight"
)

// layerNames maps a layer's tensors: Hugging Face below model.layers.N, GGUF below blk.N.
var layerNames = map[string]string{
	"input_layernorm.weight":          "attn_norm.weight",
	"self_attn.qkv_proj.weight":       "attn_qkv.weight",
	"self_attn.o_proj.weight":         "attn_output.weight",
	"post_attention_layernorm.weight": "ffn_norm.weight",
	"mlp.gate_up_proj.weight":         "ffn_up.weight", // gate and up stay fused
	"mlp.down_proj.weight":            "ffn_down.weight",
}

var outerNames = map[string]string{
	"model.embed_tokens.weight": "token_embd.weight",
	"model.norm.weight":         "output_norm.weight",
	"lm_head.weight":            "output.weight",
}

// ggufName maps a tensor of the model to its name in a GGUF file.
func ggufName(t phi3.Tensor) string {
	if t.Layer < 0 {
		return outerNames[t.Name]
	}
	_, rest, _ := strings.Cut(strings.TrimPrefix(t.Name, "model.layers."), ".")
	return fmt.Sprintf("blk.%d.%s", t.Layer, layerNames[rest])
}

// ModuleName is the name in a GGUF file of a projection's matrix.
func ModuleName(layer int, module string) string {
	return ggufName(phi3.Tensor{Name: phi3.ModulePath(layer, module) + ".weight", Layer: layer})
}

// inFileOrder sorts a model's tensors as llama.cpp's converter writes them: head, embedding,
// layers with their tensors by Hugging Face name, last norm.
func inFileOrder(tensors []phi3.Tensor) []phi3.Tensor {
	sorted := append([]phi3.Tensor(nil), tensors...)
	place := func(t phi3.Tensor) int {
		switch t.Role {
		case phi3.RoleHead:
			return -2
		case phi3.RoleEmbedding:
			return -1
		}
		if t.Layer < 0 {
			return 1 << 30
		}
		return t.Layer
	}
	sort.SliceStable(sorted, func(i, j int) bool {
		a, b := place(sorted[i]), place(sorted[j])
		return a < b || a == b && sorted[i].Name < sorted[j].Name
	})
	return sorted
}
