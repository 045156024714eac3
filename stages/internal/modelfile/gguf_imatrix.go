package modelfile

import (
	"strings"

	"github.com/so8t/so8t/stages/internal/ggufio"
	"github.com/so8t/so8t/stages/internal/imatrix"
)

// Keys that say what a quantisation was guided by.
const (
	keyImatrixFile    = "quantize.imatrix.file"
	keyImatrixDataset = "quantize.imatrix.dataset"
	keyImatrixEntries = "quantize.imatrix.entries_count"
	keyImatrixChunks  = "quantize.imatrix.chunks_count"
)

// UseImatrix quantises by the importance that was read from a file.
func (e *Export) UseImatrix(m *imatrix.Matrix, file string) error {
	columns := map[string]int{}
	for _, t := range e.Config.Tensors() {
		if len(t.Shape) == 2 {
			columns[ggufName(t)] = t.Shape[1]
		}
	}
	if err := m.Check(columns); err != nil {
		return err
	}
	e.importance = m.Importance()
	e.extra = []ggufio.KV{
		{Key: keyImatrixFile, Value: file},
		{Key: keyImatrixDataset, Value: strings.Join(m.Datasets, ", ")},
		{Key: keyImatrixEntries, Value: uint32(m.Len())},
		{Key: keyImatrixChunks, Value: uint32(m.Chunks)},
	}
	return nil
}
