package gguf

import (
	"slices"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/modelfile"
	"github.com/so8t/so8t/stages/internal/quant"
)

// Config is the stage's `with`.
type Config struct {
	Model   string `json:"model" format:"path" help:"Hugging Face folder; none: base, adapter and bake say what it would hold"`
	Base    string `json:"base" format:"path" help:"Hugging Face folder that the adapter was trained on"`
	Adapter string `json:"adapter" format:"path" media:"application/vnd.so8t.adapter" help:"adapter folder of the train stage. With model, base and adapter are what it was baked of: the file's predictions are compared with theirs instead of model's"`
	Bake    string `json:"bake" format:"path" help:"without model: report of a bake stage with folder: false. The weights that it proved are merged again while the file is written, unrounded, and must have its digests"`

	Type string `json:"type" default:"F16" enum:"F32,F16,BF16,Q8_0,Q6_K,Q5_K_M,Q5_K_S,Q5_1,Q5_0,Q4_K_M,Q4_K_S,Q4_1,Q4_0,Q3_K_M,Q3_K_S" help:"type of the matrices; norms stay F32"`
	Name string `json:"name" default:"so8t" help:"general.name in the file; must not hold phi3 or phi-3"`

	OutputType    string `json:"output_type" default:"" help:"type of output.weight, or of the embedding that takes its place; none: as type says"`
	EmbeddingType string `json:"embedding_type" default:"" help:"type of token_embd.weight; none: as type says"`

	Imatrix string `json:"imatrix" format:"path" help:"importance matrix of model imatrix or llama-imatrix, which the K-quants are guided by"`

	HeldOut       string  `json:"heldout" format:"path" help:"text, or rows of a dataset (.jsonl), on which the file's predictions must be those of the unquantised model; none: not compared"`
	HeldOutTokens int     `json:"heldout_tokens" default:"0" min:"0" help:"at most so many of its tokens; 0: 8192, or 1024 from a billion parameters on"`
	MaxKL         float64 `json:"max_kl" default:"0" min:"0" help:"largest mean KL from the unquantised model, in nats; 0: by type and size, 1e-2 for Q4_K_M (6e-2 from a billion parameters on)"`
	MinSameTop    float64 `json:"min_same_top" default:"0" min:"0" max:"1" help:"smallest share of positions at which both find the same token most probable; 0: by type, 0.98 for F16, 0.7 for Q4_K_M"`
	Backend       string  `json:"backend" default:"auto" enum:"auto,cpu,cuda" help:"what computes the comparison"`
	Threads       int     `json:"threads" default:"0" min:"0" help:"0: one for each core"`
}

// mix is the type of every matrix.
func (c Config) mix() (quant.Mix, *plugins.Problem) {
	mix, err := quant.ParseMix(c.Type)
	if err != nil {
		return mix, problem("type", err.Error())
	}
	for _, o := range []struct {
		field, name string
		with        func(quant.Mix, quant.Type) quant.Mix
	}{{"output_type", c.OutputType, quant.Mix.WithOutput}, {"embedding_type", c.EmbeddingType, quant.Mix.WithEmbedding}} {
		if o.name == "" {
			continue
		}
		t, err := quant.Parse(o.name)
		if err != nil {
			return mix, problem(o.field, err.Error())
		}
		mix = o.with(mix, t)
	}
	return mix, nil
}

// check is what can be told without looking at a file. Pending fields will be there, though they
// are empty now.
func (c Config) check(pending []string) *plugins.Problem {
	if _, p := c.mix(); p != nil {
		return p
	}
	if err := modelfile.CheckName(c.Name); err != nil {
		return problem("name", err.Error())
	}
	given := func(field, value string) bool { return value != "" || slices.Contains(pending, field) }
	switch model, base, adapter, bake := given("model", c.Model), given("base", c.Base), given("adapter", c.Adapter), given("bake", c.Bake); {
	case base != adapter:
		return problem("adapter", "base and adapter go together")
	case model && bake:
		return problem("bake", "the weights come of model, or of base, adapter and bake")
	case !model && !base:
		return problem("model", "nothing to write: give model, or base, adapter and bake")
	case !model && !bake:
		return problem("bake", "without model, the report of a bake stage with folder: false says what is to be merged")
	}
	return nil
}

func problem(field, message string) *plugins.Problem {
	return &plugins.Problem{Field: field, Code: plugins.BadInput, Message: message}
}
