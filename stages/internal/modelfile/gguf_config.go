package modelfile

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/tokenizer"
)

const architecture = "phi3"

// Keys of the metadata, in one place.
const (
	keyArchitecture = "general.architecture"
	keyType         = "general.type"
	keyName         = "general.name"
	keySize         = "general.size_label"
	keyFileType     = "general.file_type"
	keyQuantVersion = "general.quantization_version"

	keyAttnFactor = "phi3.rope.scaling.attn_factor"
	keyContext    = "phi3.context_length"
	keyOriginal   = "phi3.rope.scaling.original_context_length"
	keyHidden     = "phi3.embedding_length"
	keyFFN        = "phi3.feed_forward_length"
	keyLayers     = "phi3.block_count"
	keyHeads      = "phi3.attention.head_count"
	keyKVHeads    = "phi3.attention.head_count_kv"
	keyEps        = "phi3.attention.layer_norm_rms_epsilon"
	keyRotary     = "phi3.rope.dimension_count"
	keyTheta      = "phi3.rope.freq_base"
	keyWindow     = "phi3.attention.sliding_window"

	keyTokenizer  = "tokenizer.ggml.model"
	keyPre        = "tokenizer.ggml.pre"
	keyTokens     = "tokenizer.ggml.tokens"
	keyTokenTypes = "tokenizer.ggml.token_type"
	keyMerges     = "tokenizer.ggml.merges"
	keyBOS        = "tokenizer.ggml.bos_token_id"
	keyEOS        = "tokenizer.ggml.eos_token_id"
	keyUnknown    = "tokenizer.ggml.unknown_token_id"
	keyPadding    = "tokenizer.ggml.padding_token_id"
	keyAddBOS     = "tokenizer.ggml.add_bos_token"
	keyAddEOS     = "tokenizer.ggml.add_eos_token"
	keyTemplate   = "tokenizer.chat_template"
)

// Token types as numbered in the file.
const (
	tokenNormal      = 1
	tokenControl     = 3
	tokenUserDefined = 4
	tokenUnused      = 5
)

// fields reads typed metadata and keeps the first error.
type fields struct {
	file *ggufio.File
	err  error
}

func field[T any](f *fields, key string) T {
	v, err := ggufio.Lookup[T](f.file, key)
	if err != nil && f.err == nil {
		f.err = err
	}
	return v
}

func (f *fields) size(key string) int { return int(field[uint32](f, key)) }

func (f *fields) number(key string) float64 { return decimal(field[float32](f, key)) }

// decimal is a float32 as the shortest decimal that rounds to it: 1e-05, not 9.99999974e-06.
// It is what config.json said before the conversion.
func decimal(v float32) float64 {
	d, _ := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64) // a number always parses
	return d
}

// configOf reads the model's configuration from the metadata.
func configOf(file *ggufio.File) (*phi3.Config, error) {
	f := &fields{file: file}
	if arch := field[string](f, keyArchitecture); f.err == nil && arch != architecture {
		return nil, &ggufio.FormatError{Path: file.Path(), Problem: fmt.Sprintf("architecture %q is not supported (phi3 is)", arch)}
	}
	c := &phi3.Config{
		Hidden: f.size(keyHidden), Layers: f.size(keyLayers), Heads: f.size(keyHeads), KVHeads: f.size(keyKVHeads),
		Intermediate: f.size(keyFFN), MaxPositions: f.size(keyContext), OriginalMaxPositions: f.size(keyOriginal),
		RMSEps: f.number(keyEps), RopeTheta: f.number(keyTheta), SlidingWindow: f.size(keyWindow),
		BOS: f.size(keyBOS), EOS: []int{f.size(keyEOS)}, Pad: f.size(keyPadding), DType: "float32",
	}
	rotary := f.size(keyRotary)
	if f.err != nil {
		return nil, f.err
	}
	if c.Heads < 1 || c.KVHeads < 1 || c.Hidden < 1 || c.Layers < 1 || c.Hidden%c.Heads != 0 || c.Heads%c.KVHeads != 0 {
		return nil, &ggufio.FormatError{Path: file.Path(), Problem: fmt.Sprintf("%d channels, %d heads, %d key-value heads and %d layers make no model", c.Hidden, c.Heads, c.KVHeads, c.Layers)}
	}
	if c.Layers > len(file.Tensors) { // before every one of them is listed
		return nil, &ggufio.FormatError{Path: file.Path(), Problem: fmt.Sprintf("it claims %d layers and holds %d tensors", c.Layers, len(file.Tensors))}
	}
	c.HeadDim = c.Hidden / c.Heads
	c.PartialRotary = float64(rotary) / float64(c.HeadDim)
	embedding, ok := file.Tensor(outerNames["model.embed_tokens.weight"])
	if !ok || len(embedding.Dims) != 2 {
		return nil, &ggufio.FormatError{Path: file.Path(), Problem: "tensor token_embd.weight is missing"}
	}
	c.Vocab = embedding.Dims[1]
	_, untied := file.Tensor(outerNames["lm_head.weight"])
	c.TiedEmbeddings = !untied
	return c, addRope(file, c)
}

// addRope reads the rotary factors, which are tensors in a GGUF file.
func addRope(file *ggufio.File, c *phi3.Config) error {
	long, ok := file.Tensor(ropeLong)
	if !ok {
		return nil
	}
	short, ok := file.Tensor(ropeShort)
	if !ok || short.Len() != c.RotaryDim()/2 || long.Len() != short.Len() {
		return &ggufio.FormatError{Path: file.Path(), Problem: "rope_factors_long and rope_factors_short do not fit the model"}
	}
	c.Rope = &phi3.LongRope{AttentionFactor: phi3.DefaultAttentionFactor(c.MaxPositions, c.OriginalMaxPositions)}
	if factor, err := ggufio.Lookup[float32](file, keyAttnFactor); err == nil && factor != float32(c.Rope.AttentionFactor) {
		c.Rope.AttentionFactor = float64(factor)
	}
	for _, part := range []struct {
		tensor ggufio.TensorInfo
		to     *[]float64
	}{{long, &c.Rope.Long}, {short, &c.Rope.Short}} {
		factors := make([]float32, part.tensor.Len())
		if err := file.ReadFloats(part.tensor, 0, factors); err != nil {
			return err
		}
		for _, v := range factors {
			*part.to = append(*part.to, decimal(v))
		}
	}
	return nil
}

// templateOf builds the tokenizer from the vocabulary in the file. The file's own chat template
// is not looked at: conversations are always written in the one format that this program has.
func templateOf(file *ggufio.File) (*chat.Template, error) {
	f := &fields{file: file}
	pre, tokens, types := field[string](f, keyPre), field[[]string](f, keyTokens), field[[]int32](f, keyTokenTypes)
	merges := field[[]string](f, keyMerges)
	if f.err != nil {
		return nil, f.err
	}
	if len(types) != len(tokens) {
		return nil, &ggufio.FormatError{Path: file.Path(), Problem: fmt.Sprintf("%d tokens but %d token types", len(tokens), len(types))}
	}
	vocab, added := map[string]int32{}, []tokenizer.AddedToken{}
	for i, text := range tokens {
		switch types[i] {
		case tokenNormal:
			vocab[text] = int32(i)
		case tokenControl, tokenUserDefined:
			added = append(added, tokenizer.AddedToken{ID: int32(i), Content: text, Special: types[i] == tokenControl})
		}
	}
	pairs := make([][2]string, len(merges))
	for i, m := range merges {
		left, right, found := strings.Cut(m, " ")
		if !found {
			return nil, &ggufio.FormatError{Path: file.Path(), Problem: fmt.Sprintf("merge %q is no pair", m)}
		}
		pairs[i] = [2]string{left, right}
	}
	tok, err := tokenizer.Assemble(pre, vocab, pairs, added)
	if err != nil {
		return nil, fmt.Errorf("reading the tokenizer of %q: %w", file.Path(), err)
	}
	return chat.New(tok)
}
