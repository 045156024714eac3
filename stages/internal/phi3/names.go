package phi3

import "fmt"

// Role says what a tensor does; storage, adapters and quantisation depend on it.
type Role int

const (
	RoleEmbedding Role = iota // model.embed_tokens: input rows, and the head when tied
	RoleNorm                  // an RMSNorm gain
	RoleLinear                // one of the four fused projections
	RoleHead                  // lm_head of an untied model
)

// Tensor describes one tensor of the model, named as in Hugging Face's files.
type Tensor struct {
	Name  string
	Shape []int // row-major; matrices are [outputs, inputs]
	Role  Role
	Layer int // -1 outside the layers
}

// Len is the number of elements.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Modules that can carry an adapter, in the order of the forward pass.
const (
	QKV    = "qkv_proj"
	O      = "o_proj"
	GateUp = "gate_up_proj"
	Down   = "down_proj"
)

// Modules lists them.
var Modules = []string{QKV, O, GateUp, Down}

// ModulePath is a projection's full name without ".weight", as PEFT's target patterns see it.
func ModulePath(layer int, module string) string {
	parent := "mlp"
	if module == QKV || module == O {
		parent = "self_attn"
	}
	return fmt.Sprintf("model.layers.%d.%s.%s", layer, parent, module)
}

// ModuleShape is [outputs, inputs] of a projection.
func (c *Config) ModuleShape(module string) (out, in int) {
	switch module {
	case QKV:
		return c.QKVOut(), c.Hidden
	case O:
		return c.Hidden, c.AttnOut()
	case GateUp:
		return 2 * c.Intermediate, c.Hidden
	case Down:
		return c.Hidden, c.Intermediate
	}
	panic("phi3: no module " + module)
}

// Names of the tensors outside the layers.
const (
	embedName = "model.embed_tokens.weight"
	normName  = "model.norm.weight"
	headName  = "lm_head.weight"
)

func inputNormName(layer int) string {
	return fmt.Sprintf("model.layers.%d.input_layernorm.weight", layer)
}

func postNormName(layer int) string {
	return fmt.Sprintf("model.layers.%d.post_attention_layernorm.weight", layer)
}

func moduleName(layer int, module string) string { return ModulePath(layer, module) + ".weight" }

// Tensors lists every tensor of the model in the order of the forward pass. A tied model
// has no lm_head.
func (c *Config) Tensors() []Tensor {
	list := []Tensor{{embedName, []int{c.Vocab, c.Hidden}, RoleEmbedding, -1}}
	for l := range c.Layers {
		linear := func(module string) Tensor {
			out, in := c.ModuleShape(module)
			return Tensor{moduleName(l, module), []int{out, in}, RoleLinear, l}
		}
		list = append(list,
			Tensor{inputNormName(l), []int{c.Hidden}, RoleNorm, l}, linear(QKV), linear(O),
			Tensor{postNormName(l), []int{c.Hidden}, RoleNorm, l}, linear(GateUp), linear(Down))
	}
	list = append(list, Tensor{normName, []int{c.Hidden}, RoleNorm, -1})
	if !c.TiedEmbeddings {
		list = append(list, Tensor{headName, []int{c.Vocab, c.Hidden}, RoleHead, -1})
	}
	return list
}

// Parameters is the number of weights.
func (c *Config) Parameters() int64 {
	var n int64
	for _, t := range c.Tensors() {
		n += int64(t.Len())
	}
	return n
}
