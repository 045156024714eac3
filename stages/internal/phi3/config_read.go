package phi3

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxConfigBytes bounds config.json: real ones are a few kilobytes.
const maxConfigBytes = 4 << 20

// ReadConfig reads DIR/config.json.
func ReadConfig(dir string) (*Config, error) {
	path := filepath.Join(dir, "config.json")
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &InputError{What: fmt.Sprintf("model %q", dir), Cause: err,
			Problems: []string{"there is no config.json; name a folder as downloaded from Hugging Face (config.json, tokenizer.json, *.safetensors)"}}
	case err != nil:
		return nil, inputError(err, "model %q", dir)
	case info.Size() > maxConfigBytes:
		return nil, &InputError{What: fmt.Sprintf("config %q", path), Problems: []string{fmt.Sprintf("%d bytes is too large for a config.json", info.Size())}}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, inputError(err, "config %q", path)
	}
	return ParseConfig(path, data)
}

// ParseConfig reads the text of a config.json as transformers 4 (rope_scaling,
// rope_theta, torch_dtype) or 5 (rope_parameters, dtype) writes it. name is for
// messages. Whatever would change the result and is not supported is an error; all
// problems are reported at once.
func ParseConfig(name string, data []byte) (*Config, error) {
	what := fmt.Sprintf("config %q", name)
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return nil, &InputError{What: what, Cause: err, Problems: []string{
			fmt.Sprintf("it is not a JSON object (%v); download it again", err)}}
	}
	d := &configDecoder{keys: keys, used: map[string]bool{}}
	c := d.decode()
	if d.problems == nil {
		d.problems = c.problems()
	}
	if d.problems != nil {
		return nil, &InputError{What: what, Problems: d.problems}
	}
	return c, nil
}

// configDecoder takes keys one by one, so that what nobody took can be named.
type configDecoder struct {
	keys     map[string]json.RawMessage
	used     map[string]bool
	problems []string
}

func (d *configDecoder) bad(format string, args ...any) {
	d.problems = append(d.problems, fmt.Sprintf(format, args...))
}

// get decodes a key into dst; false when it is absent or null.
func (d *configDecoder) get(key string, dst any) bool {
	raw, ok := d.keys[key]
	d.used[key] = true
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, dst); err != nil {
		d.bad("%s is %s; %s expected", key, excerpt(raw), expected(dst))
		return false
	}
	return true
}

func (d *configDecoder) integer(key string, dst *int, required bool) bool {
	var v float64
	if !d.get(key, &v) {
		if _, present := d.keys[key]; required && (!present || string(d.keys[key]) == "null") {
			d.bad("%s is missing", key)
		}
		return false
	}
	if v != math.Trunc(v) || math.Abs(v) > 1<<40 {
		d.bad("%s is %v; a whole number expected", key, v)
		return false
	}
	*dst = int(v)
	return true
}

func excerpt(raw json.RawMessage) string {
	if len(raw) > 40 {
		return string(raw[:40]) + "…"
	}
	return string(raw)
}

func expected(dst any) string {
	switch dst.(type) {
	case *string:
		return "a string"
	case *bool:
		return "true or false"
	case *float64:
		return "a number"
	case *[]float64:
		return "a list of numbers"
	case *[]string:
		return "a list of strings"
	}
	return "an object"
}

func (d *configDecoder) decode() *Config {
	c := &Config{BOS: -1, Pad: -1, RMSEps: 1e-5, RopeTheta: 10000, PartialRotary: 1, InitRange: 0.02}
	d.architecture()
	d.integer("hidden_size", &c.Hidden, true)
	d.integer("num_hidden_layers", &c.Layers, true)
	d.integer("num_attention_heads", &c.Heads, true)
	if !d.integer("num_key_value_heads", &c.KVHeads, false) {
		c.KVHeads = c.Heads
	}
	if !d.integer("head_dim", &c.HeadDim, false) && c.Heads > 0 {
		c.HeadDim = c.Hidden / c.Heads
		if c.Hidden%c.Heads != 0 {
			d.bad("hidden_size %d is not a multiple of num_attention_heads %d", c.Hidden, c.Heads)
		}
	}
	d.integer("intermediate_size", &c.Intermediate, true)
	d.integer("vocab_size", &c.Vocab, true)
	d.integer("max_position_embeddings", &c.MaxPositions, true)
	d.get("rms_norm_eps", &c.RMSEps)
	d.get("tie_word_embeddings", &c.TiedEmbeddings)
	d.get("initializer_range", &c.InitRange)
	if d.integer("sliding_window", &c.SlidingWindow, false) && c.SlidingWindow == 0 {
		d.bad("sliding_window is 0; it must be positive, or null")
	}
	d.dtype(c)
	d.tokens(c)
	d.rope(c)
	d.refuse()
	d.leftovers(c)
	return c
}

func (d *configDecoder) architecture() {
	var kind, act string
	if !d.get("model_type", &kind) {
		d.bad("model_type is missing; a Phi-3 style model (phi3: Phi-4-mini, Phi-3.5-mini) is needed")
	} else if kind != "phi3" {
		d.bad("model_type is %q; only phi3 (Phi-4-mini, Phi-3.5-mini) is supported", kind)
	}
	var archs []string
	if d.get("architectures", &archs) && len(archs) > 0 && !slices.Contains(archs, "Phi3ForCausalLM") {
		d.bad("architectures is %q; only Phi3ForCausalLM is supported", archs)
	}
	if d.get("hidden_act", &act) && act != "silu" && act != "swish" {
		d.bad("hidden_act is %q; only silu is supported", act)
	}
}

// dtype reads the type of the weights, under the name of transformers 4 or 5.
func (d *configDecoder) dtype(c *Config) {
	names := map[string]string{}
	for _, key := range []string{"dtype", "torch_dtype"} {
		var v string
		if !d.get(key, &v) {
			continue
		}
		c.DType = strings.TrimPrefix(v, "torch.")
		names[key] = c.DType
		if !slices.Contains([]string{"float32", "float16", "bfloat16"}, c.DType) {
			d.bad("%s is %q; weights of float32, float16 and bfloat16 are supported", key, v)
		}
	}
	if len(names) == 2 && names["dtype"] != names["torch_dtype"] {
		d.bad("torch_dtype is %q but dtype is %q; keep one of them", names["torch_dtype"], names["dtype"])
	}
}

// tokens reads the special ids; eos may be one number or a list.
func (d *configDecoder) tokens(c *Config) {
	d.integer("bos_token_id", &c.BOS, false)
	d.integer("pad_token_id", &c.Pad, false)
	raw := d.keys["eos_token_id"]
	d.used["eos_token_id"] = true
	switch {
	case len(raw) == 0 || string(raw) == "null":
	case raw[0] == '[':
		if json.Unmarshal(raw, &c.EOS) != nil {
			d.bad("eos_token_id is %s; a number or a list of numbers expected", excerpt(raw))
		}
	default:
		c.EOS = []int{0}
		if json.Unmarshal(raw, &c.EOS[0]) != nil {
			d.bad("eos_token_id is %s; a number or a list of numbers expected", excerpt(raw))
		}
	}
}

// refuse names the fields that would change the result and that only one value of
// is supported.
func (d *configDecoder) refuse() {
	for _, key := range []string{"attention_bias", "mlp_bias", "lm_head_bias", "qkv_bias", "use_qk_norm"} {
		var on bool
		if d.get(key, &on) && on {
			d.bad("%s is true; Phi-3 models with it are not supported", key)
		}
	}
	for _, key := range []string{"attention_dropout", "embd_pdrop", "resid_pdrop"} {
		var p float64
		if d.get(key, &p) && p != 0 {
			d.bad("%s is %v; dropout inside the base model is not supported: set it to 0 (the adapter's own dropout is lora.dropout)", key, p)
		}
	}
	for _, key := range []string{"interpolate_factor", "full_attn_mod"} {
		v := 1.0
		if d.get(key, &v) && v != 1 {
			d.bad("%s is %v; only 1 is supported", key, v)
		}
	}
	for _, key := range unheardOf {
		raw, ok := d.keys[key]
		d.used[key] = true
		if ok && string(raw) != "null" {
			d.bad("%s is %s; a Phi-3 model has nothing of the kind", key, excerpt(raw))
		}
	}
	for _, key := range []string{"quantization_config", "compression_config", "pruned_heads", "layer_types"} {
		raw, ok := d.keys[key]
		d.used[key] = true
		if ok && !slices.Contains([]string{"null", "{}", "[]", "0"}, string(raw)) && !fullAttention(key, raw) {
			d.bad("%s is set (%s); only plain, unquantised weights are supported: use the original model", key, excerpt(raw))
		}
	}
}

// unheardOf are keys of other architectures that change a forward pass.
var unheardOf = []string{"attention_multiplier", "attn_logit_softcapping", "embedding_multiplier", "final_logit_softcapping", "logit_scale",
	"logits_scaling", "no_rope_layers", "num_experts", "num_local_experts", "query_pre_attn_scalar", "residual_multiplier"}

// fullAttention reports whether layer_types asks for nothing special.
func fullAttention(key string, raw json.RawMessage) bool {
	var types []string
	if key != "layer_types" || json.Unmarshal(raw, &types) != nil {
		return false
	}
	return !slices.ContainsFunc(types, func(t string) bool { return t != "full_attention" })
}

// harmless keys do not change a forward pass.
var harmless = []string{"_name_or_path", "auto_map", "transformers_version", "use_cache", "_attn_implementation",
	"_attn_implementation_autoset", "return_dict", "output_attentions", "output_hidden_states", "chunk_size_feed_forward",
	"is_decoder", "is_encoder_decoder", "add_cross_attention", "id2label", "label2id", "problem_type", "task_specific_params",
	"torchscript", "use_bfloat16", "tokenizer_class", "prefix", "finetuning_task", "gradient_checkpointing", "pretraining_tp",
	"unsloth_version", "unsloth_fixed", "sep_token_id", "decoder_start_token_id", "tie_encoder_decoder", "model_name"}

func (d *configDecoder) leftovers(c *Config) {
	for key := range d.keys {
		if !d.used[key] && !slices.Contains(harmless, key) && !strings.HasPrefix(key, "so8t_") {
			c.Unrecognised = append(c.Unrecognised, key)
		}
	}
	slices.Sort(c.Unrecognised)
}
