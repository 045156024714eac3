// Package baked is what a bake proved: onto which base an adapter was merged, and the digest of
// every tensor that came of it. With that the same weights can be made again, bit for bit, where
// they are wanted, and no folder of them need be written in between.
package baked

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/so8t/so8t/stages/internal/jsonfile"
	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// The bases that an adapter can be merged onto: the files' weights, or what training kept of them.
const (
	Original    = "original"
	Dequantised = "dequantised"
)

// Onto says which base the adapter was merged onto, and why.
type Onto struct {
	// Storage is how training kept the base.
	Storage string `json:"storage"`
	Base    string `json:"base"`
	Reason  string `json:"reason"`
	// ValidationTokens and the mean -log p of each of them in nats, on the model as it is
	// exported; absent when the bases are the same or there is no validation set.
	ValidationTokens int      `json:"validation_tokens,omitempty"`
	NLLOriginal      *float64 `json:"nll_original,omitempty"`
	NLLDequantised   *float64 `json:"nll_dequantised,omitempty"`
}

// DType is the type of the weights of a recipe: not rounded after the merge.
const DType = "float32"

// Recipe is the part of a bake's report by which its weights are made again.
type Recipe struct {
	MergedOnto Onto `json:"merged_onto"`
	// DType is the type of the weights, as config.json calls it.
	DType string `json:"dtype"`
	// Tensors are the sha256 of the weights' bytes.
	Tensors map[string]string `json:"tensors"`
}

// Read reads the report of a bake whose weights were proven and not written.
func Read(path string) (Recipe, error) {
	var r Recipe
	if err := jsonfile.Read(path, &r); err != nil {
		return r, err
	}
	switch {
	case len(r.Tensors) == 0 || r.MergedOnto.Base != Original && r.MergedOnto.Base != Dequantised:
		return r, fmt.Errorf("reading %q: it is not the report of a bake stage", path)
	case r.DType != DType:
		return r, fmt.Errorf("reading %q: the bake rounded its weights to %s; give it folder: false", path, r.DType)
	}
	return r, nil
}

// Source makes the weights of the recipe again.
func (r Recipe) Source(base *phi3.Folder, a *so8t.Adapter) (*phi3.Merged, error) {
	if r.MergedOnto.Base == Original {
		return phi3.NewMerged(base.Config, base, a)
	}
	kept, _ := phi3.NewKept(base, phi3.Storage(r.MergedOnto.Storage))
	return phi3.NewMerged(base.Config, kept, a)
}

// Sum is the digest of a tensor that comes in pieces, in order.
type Sum struct {
	hash hash.Hash
	raw  []byte
}

// NewSum begins a digest.
func NewSum() *Sum { return &Sum{hash: sha256.New()} }

// Add adds the next numbers, as little-endian float32.
func (s *Sum) Add(x []float32) {
	s.raw, _ = safetensors.AppendFloats(safetensors.F32, s.raw[:0], x) // F32 can be written
	_, _ = s.hash.Write(s.raw)                                         // never fails
}

// End is the digest; the next tensor may begin.
func (s *Sum) End() string {
	sum := hex.EncodeToString(s.hash.Sum(nil))
	s.hash.Reset()
	return sum
}
