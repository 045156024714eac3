package modelfile

import (
	"fmt"
	"io"
	"strings"

	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/quant"
	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// Export says what a GGUF file is to hold.
type Export struct {
	Name     string // general.name
	Mix      quant.Mix
	Config   *phi3.Config
	Source   phi3.Source
	Template *chat.Template
	// Jobs is how many rows are encoded at a time, at most; 0: as many as there are processors.
	// The file is the same.
	Jobs int
	// Record, when not nil, is filled with what is seen of the tensors.
	Record *Record

	importance map[string][]float32 // of each column of a matrix, by its name in the file
	extra      []ggufio.KV          // behind the other metadata
}

// Importance is that of a matrix's columns, by its name in the file; nil without an importance
// matrix.
func (e Export) Importance(name string) []float32 { return e.importance[name] }

// Write streams the file to w. progress, when not nil, gets the number of elements done.
func (e Export) Write(w io.Writer, progress func(done, total int64)) error {
	if err := e.check(); err != nil {
		return err
	}
	tensors := inFileOrder(e.Config.Tensors())
	infos := e.infos(tensors)
	out, err := ggufio.NewWriter(w, e.metadata(), infos)
	if err != nil {
		return err
	}
	if rope := e.Config.Rope; rope != nil {
		for _, part := range []struct {
			name    string
			factors []float64
		}{{ropeLong, rope.Long}, {ropeShort, rope.Short}} {
			if err := writeFactors(out, part.name, part.factors); err != nil {
				return err
			}
		}
	}
	types := infos[len(infos)-len(tensors):]
	if err := e.stream(out, tensors, types, progress); err != nil {
		return err
	}
	return out.Close()
}

// check refuses what other software would not load.
func (e Export) check() error {
	if err := CheckName(e.Name); err != nil {
		return err
	}
	if n := e.Template.Tokenizer().Size(); n > e.Config.Vocab {
		return fmt.Errorf("the tokenizer has %d ids, the model only %d", n, e.Config.Vocab)
	}
	return nil
}

// CheckName refuses names under which llama.cpp takes the vocabulary for Phi-3's and does not
// load the file.
func CheckName(name string) error {
	lower := strings.ToLower(name)
	if name == "" || strings.Contains(lower, "phi3") || strings.Contains(lower, "phi-3") {
		return fmt.Errorf("model name %q: llama.cpp does not load a model with this vocabulary and phi3 or phi-3 in its name; choose another", name)
	}
	return nil
}

// FileNames maps the names of the model's tensors in the file to their Hugging Face names.
func (e Export) FileNames() map[string]string {
	names := map[string]string{}
	for _, t := range e.Config.Tensors() {
		names[ggufName(t)] = t.Name
	}
	return names
}

func (e Export) infos(tensors []phi3.Tensor) []ggufio.TensorInfo {
	var infos []ggufio.TensorInfo
	if rope := e.Config.Rope; rope != nil {
		infos = append(infos,
			ggufio.TensorInfo{Name: ropeLong, Dims: []int{len(rope.Long)}, Type: quant.F32},
			ggufio.TensorInfo{Name: ropeShort, Dims: []int{len(rope.Short)}, Type: quant.F32})
	}
	for _, t := range tensors {
		info := ggufio.TensorInfo{Name: ggufName(t), Type: quant.F32}
		for i := len(t.Shape) - 1; i >= 0; i-- {
			info.Dims = append(info.Dims, t.Shape[i])
		}
		if len(t.Shape) == 2 { // norms stay F32 in every type
			info.Type = e.Mix.For(quant.Matrix{
				Name: info.Name, Columns: info.Dims[0], Layer: t.Layer, Layers: e.Config.Layers, Tied: e.Config.TiedEmbeddings,
				Importance: e.importance != nil,
			})
		}
		infos = append(infos, info)
	}
	return infos
}

func writeFactors(out *ggufio.Writer, name string, factors []float64) error {
	if err := out.Begin(name); err != nil {
		return err
	}
	floats := make([]float32, len(factors))
	for i, f := range factors {
		floats[i] = float32(f)
	}
	return out.WriteFloats(floats)
}

// metadata is what llama.cpp's converter writes for phi3, in its order.
func (e Export) metadata() []ggufio.KV {
	c := e.Config
	var kvs []ggufio.KV
	add := func(key string, value any) { kvs = append(kvs, ggufio.KV{Key: key, Value: value}) }
	add(keyArchitecture, architecture)
	if c.Rope != nil {
		add(keyAttnFactor, float32(c.Rope.AttentionFactor))
	}
	add(keyType, "model")
	add(keyName, e.Name)
	add(keySize, sizeLabel(c.Parameters()))
	add(keyContext, uint32(c.MaxPositions))
	add(keyOriginal, uint32(c.OriginalMaxPositions))
	add(keyHidden, uint32(c.Hidden))
	add(keyFFN, uint32(c.Intermediate))
	add(keyLayers, uint32(c.Layers))
	add(keyHeads, uint32(c.Heads))
	add(keyKVHeads, uint32(c.KVHeads))
	add(keyEps, float32(c.RMSEps))
	add(keyRotary, uint32(c.RotaryDim()))
	add(keyTheta, float32(c.RopeTheta))
	add(keyFileType, e.Mix.FileType())
	add(keyWindow, uint32(c.SlidingWindow))
	add(keyQuantVersion, uint32(2))
	return append(append(kvs, e.vocabulary()...), e.extra...)
}

// vocabulary is the tokenizer's part of the metadata. Ids that no token has are [PADn], unused.
func (e Export) vocabulary() []ggufio.KV {
	tok := e.Template.Tokenizer()
	tokens, types := make([]string, e.Config.Vocab), make([]int32, e.Config.Vocab)
	for i, text := range tok.Texts() {
		if text != "" {
			tokens[i], types[i] = text, tokenNormal
		}
	}
	for _, a := range tok.Added() {
		tokens[a.ID], types[a.ID] = a.Content, addedType(a)
	}
	for i := range tokens {
		if types[i] == 0 {
			tokens[i], types[i] = fmt.Sprintf("[PAD%d]", i), tokenUnused
		}
	}
	var merges []string
	for _, m := range tok.Merges() {
		merges = append(merges, m[0]+" "+m[1])
	}
	endOfText, _ := tok.AddedID(chat.EndOfText)
	id := func(configured int) uint32 {
		if configured < 0 {
			return uint32(endOfText)
		}
		return uint32(configured)
	}
	eos := -1
	if len(e.Config.EOS) > 0 {
		eos = e.Config.EOS[0]
	}
	return []ggufio.KV{
		{Key: keyTokenizer, Value: "gpt2"},
		{Key: keyPre, Value: "gpt-4o"},
		{Key: keyTokens, Value: tokens},
		{Key: keyTokenTypes, Value: types},
		{Key: keyMerges, Value: merges},
		{Key: keyBOS, Value: id(e.Config.BOS)},
		{Key: keyEOS, Value: id(eos)},
		{Key: keyUnknown, Value: uint32(endOfText)},
		{Key: keyPadding, Value: id(e.Config.Pad)},
		{Key: keyAddBOS, Value: false},
		{Key: keyAddEOS, Value: false},
		{Key: keyTemplate, Value: chat.Jinja},
	}
}

// addedType is CONTROL for special tokens and for what looks like one, as llama.cpp has it.
func addedType(a tokenizer.AddedToken) int32 {
	if a.Special || strings.HasPrefix(a.Content, "<|") && strings.HasSuffix(a.Content, "|>") {
		return tokenControl
	}
	return tokenUserDefined
}

// sizeLabel writes a number of parameters as llama.cpp's converter does: at least two digits.
func sizeLabel(n int64) string {
	value, unit := float64(n), ""
	for _, step := range []struct {
		size float64
		unit string
	}{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "K"}} {
		if float64(n) >= step.size {
			value, unit = float64(n)/step.size, step.unit
			break
		}
	}
	decimals := 0
	if value < 9.5 {
		decimals = 1
	}
	return fmt.Sprintf("%.*f%s", decimals, value, unit)
}
