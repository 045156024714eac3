package phi3

import (
	"bytes"
	"encoding/json"
)

// MarshalConfig writes config.json in the form of transformers 4.45 (Phi-4-mini's
// own), which transformers 5 and llama.cpp's converter read as well. dtype is the
// type of the stored weights, as in "bfloat16".
func (c *Config) MarshalConfig(dtype string) ([]byte, error) {
	f := configFile{
		Architectures: []string{"Phi3ForCausalLM"}, ModelType: "phi3", HiddenAct: "silu",
		Hidden: c.Hidden, Layers: c.Layers, Heads: c.Heads, KVHeads: c.KVHeads, Intermediate: c.Intermediate, Vocab: c.Vocab,
		MaxPositions: c.MaxPositions, OriginalMaxPositions: c.OriginalMaxPositions,
		RMSEps: c.RMSEps, RopeTheta: c.RopeTheta, PartialRotary: c.PartialRotary,
		Tied: c.TiedEmbeddings, InitRange: c.InitRange, DType: dtype,
		InterpolateFactor: 1, FullAttnMod: 1, UseCache: true, Transformers: "4.45.0",
		BOS: optional(c.BOS), Pad: optional(c.Pad), Sliding: optional(max(c.SlidingWindow, 0)),
	}
	if c.SlidingWindow == 0 {
		f.Sliding = nil
	}
	if c.HeadDim*c.Heads != c.Hidden {
		f.HeadDim = &c.HeadDim
	}
	switch len(c.EOS) {
	case 0:
	case 1:
		f.EOS = c.EOS[0]
	default:
		f.EOS = c.EOS
	}
	if r := c.Rope; r != nil {
		f.Rope = &ropeFile{Long: r.Long, Short: r.Short, Type: "longrope"}
		if r.AttentionFactor != DefaultAttentionFactor(c.MaxPositions, c.OriginalMaxPositions) {
			f.Rope.AttentionFactor = &r.AttentionFactor
		}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(f)
	return out.Bytes(), err
}

func optional(id int) *int {
	if id < 0 {
		return nil
	}
	return &id
}

// configFile is config.json's layout; keys in alphabetical order, as transformers
// writes them.
type configFile struct {
	Architectures        []string  `json:"architectures"`
	AttentionBias        bool      `json:"attention_bias"`
	AttentionDropout     float64   `json:"attention_dropout"`
	BOS                  *int      `json:"bos_token_id"`
	EmbdDrop             float64   `json:"embd_pdrop"`
	EOS                  any       `json:"eos_token_id"`
	FullAttnMod          int       `json:"full_attn_mod"`
	HeadDim              *int      `json:"head_dim,omitempty"`
	HiddenAct            string    `json:"hidden_act"`
	Hidden               int       `json:"hidden_size"`
	InitRange            float64   `json:"initializer_range"`
	Intermediate         int       `json:"intermediate_size"`
	InterpolateFactor    int       `json:"interpolate_factor"`
	LMHeadBias           bool      `json:"lm_head_bias"`
	MaxPositions         int       `json:"max_position_embeddings"`
	MLPBias              bool      `json:"mlp_bias"`
	ModelType            string    `json:"model_type"`
	Heads                int       `json:"num_attention_heads"`
	Layers               int       `json:"num_hidden_layers"`
	KVHeads              int       `json:"num_key_value_heads"`
	OriginalMaxPositions int       `json:"original_max_position_embeddings"`
	Pad                  *int      `json:"pad_token_id"`
	PartialRotary        float64   `json:"partial_rotary_factor"`
	ResidDrop            float64   `json:"resid_pdrop"`
	RMSEps               float64   `json:"rms_norm_eps"`
	Rope                 *ropeFile `json:"rope_scaling"`
	RopeTheta            float64   `json:"rope_theta"`
	Sliding              *int      `json:"sliding_window"`
	Tied                 bool      `json:"tie_word_embeddings"`
	DType                string    `json:"torch_dtype"`
	Transformers         string    `json:"transformers_version"`
	UseCache             bool      `json:"use_cache"`
	Vocab                int       `json:"vocab_size"`
}

type ropeFile struct {
	AttentionFactor *float64  `json:"attention_factor,omitempty"`
	Long            []float64 `json:"long_factor"`
	Short           []float64 `json:"short_factor"`
	Type            string    `json:"type"`
}
