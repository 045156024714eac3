package synthetic

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/so8t/so8t/stages/internal/inorder"
	"github.com/so8t/so8t/stages/internal/safetensors"
)

// noise are normal numbers of one standard deviation as bf16: the middles of 65,536 equally
// likely intervals. A number is one of them, picked by 16 bits of a hash of its place, so that
// any part of a tensor can be made by itself, at a billion a second.
type noise []uint16

func newNoise(mean, std float64) noise {
	n := make(noise, 1<<16)
	for i := range n {
		p := (float64(i) + 0.5) / float64(len(n))
		n[i] = safetensors.FloatToBrain(float32(mean + std*math.Sqrt2*math.Erfinv(2*p-1)))
	}
	return n
}

// pieceNumbers is how many are made at a time; a multiple of the 4 that a hash gives.
const pieceNumbers = 1 << 20

// writeTo writes the first n numbers of a sequence, little-endian.
func (s noise) writeTo(w io.Writer, sequence uint64, n int) error {
	return inorder.Do(inorder.Jobs(0), (n+pieceNumbers-1)/pieceNumbers, func(piece int) ([]byte, error) {
		first := piece * pieceNumbers
		raw := make([]byte, 0, 2*pieceNumbers)
		for at := first; at < min(n, first+pieceNumbers); at += 4 {
			h := mix(sequence + uint64(at)*golden)
			raw = binary.LittleEndian.AppendUint64(raw, uint64(s[h&0xffff])|uint64(s[h>>16&0xffff])<<16|uint64(s[h>>32&0xffff])<<32|uint64(s[h>>48])<<48)
		}
		return raw[:2*min(pieceNumbers, n-first)], nil
	}, func(_ int, raw []byte) error {
		_, err := w.Write(raw)
		return err
	})
}

// floats are the first n numbers of a sequence.
func (s noise) floats(sequence uint64, n int) []float32 {
	all := make([]float32, n)
	for i := range all {
		all[i] = safetensors.BrainToFloat(s[mix(sequence+uint64(i)*golden)>>48])
	}
	return all
}

const golden = 0x9e3779b97f4a7c15

// mix is SplitMix64's finisher.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
