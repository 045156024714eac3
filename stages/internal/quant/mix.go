package quant

import (
	"fmt"
	"strings"
)

// Mix says which type each matrix of a file gets: one for all, or, as in Q4_K_M, a better one
// for those whose errors hurt most. The rules are those of llama-quantize.
type Mix struct {
	name     string
	base     Type
	fileType uint32 // general.file_type

	output, embedding override
}

// override is a type that the user wants for one matrix.
type override struct {
	set bool
	t   Type
}

// mixes, the most exact first.
var mixes = []Mix{
	{name: "F32", base: F32, fileType: 0},
	{name: "F16", base: F16, fileType: 1},
	{name: "BF16", base: BF16, fileType: 32},
	{name: "Q8_0", base: Q8_0, fileType: 7},
	{name: "Q6_K", base: Q6K, fileType: 18},
	{name: "Q5_K_M", base: Q5K, fileType: 17},
	{name: "Q5_K_S", base: Q5K, fileType: 16},
	{name: "Q5_1", base: Q5_1, fileType: 9},
	{name: "Q5_0", base: Q5_0, fileType: 8},
	{name: "Q4_K_M", base: Q4K, fileType: 15},
	{name: "Q4_K_S", base: Q4K, fileType: 14},
	{name: "Q4_1", base: Q4_1, fileType: 3},
	{name: "Q4_0", base: Q4_0, fileType: 2},
	{name: "Q3_K_M", base: Q3K, fileType: 12},
	{name: "Q3_K_S", base: Q3K, fileType: 11},
}

// MixNames lists the mixes, the most exact first.
func MixNames() []string {
	var names []string
	for _, m := range mixes {
		names = append(names, m.name)
	}
	return names
}

// ParseMix finds a mix by its name.
func ParseMix(name string) (Mix, error) {
	for _, m := range mixes {
		if m.name == name {
			return m, nil
		}
	}
	return Mix{}, fmt.Errorf("type %q cannot be written (these can: %s)", name, strings.Join(MixNames(), ", "))
}

func (m Mix) String() string { return m.name }

// Base is the type of most matrices.
func (m Mix) Base() Type { return m.base }

// FileType is the value of general.file_type.
func (m Mix) FileType() uint32 { return m.fileType }

// WithOutput gives output.weight a type of its own; in a model without one, the embedding that
// takes its place, unless WithEmbedding does.
func (m Mix) WithOutput(t Type) Mix { m.output = override{true, t}; return m }

// WithEmbedding gives token_embd.weight a type of its own.
func (m Mix) WithEmbedding(t Type) Mix { m.embedding = override{true, t}; return m }

// Matrix is what the choice of a type depends on.
type Matrix struct {
	Name          string // in the GGUF file
	Columns       int
	Layer, Layers int
	// Tied: there is no output.weight, the embedding is also the head.
	Tied bool
	// Importance is to be used.
	Importance bool
}

const (
	embeddingName = "token_embd.weight"
	outputName    = "output.weight"
)

// For chooses the type of a matrix.
func (m Mix) For(x Matrix) Type {
	t := m.wanted(x)
	if x.Columns%t.Block() == 0 {
		return t
	}
	switch t {
	case Q3K:
		t = Q4_0
	case Q4K:
		t = Q5_0
	case Q5K:
		t = Q5_1
	case Q6K:
		t = Q8_0
	}
	if x.Columns%t.Block() != 0 {
		t = F16
	}
	return t
}

// wanted is the type for a matrix whose columns fit.
func (m Mix) wanted(x Matrix) Type {
	_, role, _ := strings.Cut(strings.TrimPrefix(x.Name, "blk."), ".") // behind the layer
	switch {
	case x.Name == embeddingName && m.embedding.set:
		return m.embedding.t
	case x.Name == outputName || x.Name == embeddingName && x.Tied:
		return m.head(x.Columns)
	case role == "attn_qkv.weight":
		return m.qkv(x)
	case role == "ffn_down.weight":
		return m.down(x)
	case role == "attn_output.weight" && m.name == "Q3_K_M":
		return Q4K
	}
	return m.base
}

func (m Mix) head(columns int) Type {
	switch {
	case m.output.set:
		return m.output.t
	case m.base == F32 || m.base == F16 || m.base == BF16:
		return m.base
	case m.base == Q8_0 || columns%m.base.Block() != 0:
		return Q8_0
	}
	return Q6K
}

func (m Mix) qkv(x Matrix) Type {
	switch {
	case (m.name == "Q4_K_M" || m.name == "Q5_K_M") && moreBits(x.Layer, x.Layers):
		return Q6K
	case m.name == "Q4_K_S" && x.Layer < 4, m.name == "Q3_K_M" && x.Layer < 2:
		return Q5K
	case m.name == "Q3_K_M":
		return Q4K
	}
	return m.base
}

func (m Mix) down(x Matrix) Type {
	early := x.Layer < x.Layers/8
	switch {
	case (m.name == "Q4_K_M" || m.name == "Q5_K_M") && moreBits(x.Layer, x.Layers):
		return Q6K
	case m.name == "Q4_K_S" && early, m.name == "Q3_K_M" && x.Layer < x.Layers/16:
		return Q5K
	case m.name == "Q3_K_M":
		return Q4K
	case m.name == "Q4_0" && early && x.Importance:
		return Q4_1
	case m.name == "Q5_0" && early && x.Importance:
		return Q5_1
	}
	return m.base
}

// moreBits picks the first and last eighth of the layers and every third between.
func moreBits(layer, layers int) bool {
	return layer < layers/8 || layer >= 7*layers/8 || (layer-layers/8)%3 == 2
}
