package bake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/so8t/so8t/stages/internal/phi3"
	"github.com/so8t/so8t/stages/internal/safetensors"
	"github.com/so8t/so8t/stages/internal/so8t"
)

// writer of a folder with an adapter in it.
func writer(t *testing.T, from string, a *so8t.Adapter, dtype string) *modelWriter {
	t.Helper()
	folder := open(t, from)
	merged, err := phi3.NewMerged(folder.Config, folder, a)
	if err != nil {
		t.Fatal(err)
	}
	return &modelWriter{dir: filepath.Join(t.TempDir(), "model"), base: from, folder: folder, merged: merged, dtype: dtype, shard: shardBytes, chunk: chunkBytes}
}

// The same tensors come of one file and of shards, into one file and into shards, in any chunks
// and on any number of goroutines.
func TestModelWriter_ShardsChunksAndJobsChangeNothing(t *testing.T) {
	a := adapter(t, open(t, base).Config)
	whole := writer(t, base, a, "float16")
	if err := whole.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	pieces := writer(t, base, a, "float16")
	pieces.shard, pieces.chunk, pieces.jobs = 1<<20, 40<<10, 3
	if err := pieces.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(pieces.dir, "model.safetensors.index.json")); err != nil {
		t.Error(err)
	}
	if !maps.Equal(whole.digests, pieces.digests) {
		t.Error("in pieces other bytes are written")
	}
	if whole.folded != 4 || whole.merges != 16 || pieces.folded != 4 || pieces.merges != 16 {
		t.Errorf("%d and %d folded, %d and %d merged", whole.folded, pieces.folded, whole.merges, pieces.merges)
	}
	if got, want := pieces.cast.relative(), whole.cast.relative(); got < 0.999*want || got > 1.001*want || want < 1e-5 || want > 1e-3 {
		t.Errorf("cast errors %v and %v", got, want)
	}
	for _, w := range []*modelWriter{whole, pieces} { // the digests are of what is in the files
		set, err := safetensors.Open(w.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range set.Names() {
			raw, err := set.Bytes(name)
			if sum := sha256.Sum256(raw); err != nil || hex.EncodeToString(sum[:]) != w.digests[name] {
				t.Errorf("%s has another digest, %v", name, err)
			}
		}
		set.Close()
	}
	// Shards are read like one file.
	bare := &so8t.Adapter{}
	split := writer(t, base, bare, "bfloat16")
	split.shard = 1 << 20
	if err := split.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := writer(t, split.dir, a, "float16")
	if err := again.run(t.Context()); err != nil || !maps.Equal(again.digests, whole.digests) {
		t.Errorf("from shards other bytes are written, %v", err)
	}
}

// Without an adapter the weights are the base's, byte for byte, and nothing is lost.
func TestModelWriter_CopiesWhatNothingChanges(t *testing.T) {
	w := writer(t, base, &so8t.Adapter{}, "bfloat16")
	if err := w.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{base, w.dir} {
		if open(t, dir).DType("model.norm.weight") != safetensors.BF16 {
			t.Fatalf("%s is not of bfloat16", dir)
		}
	}
	a, err := safetensors.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := safetensors.Open(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, name := range a.Names() {
		x, err := a.Bytes(name)
		if err != nil {
			t.Fatal(err)
		}
		if y, err := b.Bytes(name); err != nil || !bytes.Equal(x, y) {
			t.Errorf("%s has other bytes, %v", name, err)
		}
	}
	if w.cast != (castMeter{}) || w.folded != 0 || w.merges != 0 {
		t.Errorf("%+v", w)
	}
}

func TestModelWriter_Ends(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := writer(t, base, &so8t.Adapter{}, "bfloat16")
	w.written = func(int) { cancel() }
	if err := w.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := writer(t, base, &so8t.Adapter{}, "float64").run(t.Context()); err == nil {
		t.Error("float64 was written")
	}
}
