package quant

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"golang.org/x/sys/cpu"
)

// eachKernel runs a test with every implementation that this machine has.
func eachKernel(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	defer func() { withAVX2 = cpu.X86.HasAVX2 }()
	for name, fast := range map[string]bool{"go": false, "avx2": true} {
		if withAVX2 = fast; !fast || cpu.X86.HasAVX2 {
			t.Run(name, f)
		}
	}
}

// Every 4,099th float32, and the edges of what float16 has, round to the same float16.
func TestEncodeF16_KernelEqualsGo(t *testing.T) {
	var x []float32
	for bits := uint64(0); bits < 1<<32; bits += 4099 {
		x = append(x, math.Float32frombits(uint32(bits)))
	}
	for _, edge := range []uint32{0, 0x33000000, 0x33000001, 0x387fffff, 0x38800000, 0x477fefff, 0x477ff000, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fffffff} {
		for _, bits := range []uint32{edge - 1, edge, edge + 1} {
			x = append(x, math.Float32frombits(bits), math.Float32frombits(bits|1<<31))
		}
	}
	got, want := make([]byte, 2*len(x)), make([]byte, 2*len(x))
	encodeF16(got, x)
	encodeF16InGo(want, x)
	if !bytes.Equal(got, want) {
		for i := range x {
			if g, w := got[2*i:2*i+2], want[2*i:2*i+2]; !bytes.Equal(g, w) {
				t.Fatalf("%v (%#08x): % x, want % x", x[i], math.Float32bits(x[i]), g, w)
			}
		}
	}
}

// All float16 and bfloat16 numbers, and lengths that leave a rest.
func TestDecodeHalves_KernelsEqualGo(t *testing.T) {
	src := make([]byte, 2<<16)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(src[2*i:], uint16(i))
	}
	for name, f := range map[string][2]func([]float32, []byte){"F16": {decodeF16, decodeF16InGo}, "BF16": {decodeBF16, decodeBF16InGo}} {
		for _, n := range []int{1 << 16, 7, 8, 9, 31} {
			got, want := make([]float32, n), make([]float32, n)
			f[0](got, src)
			f[1](want, src)
			for i := range got {
				if g, w := math.Float32bits(got[i]), math.Float32bits(want[i]); g != w {
					t.Fatalf("%s %#04x: %#08x, want %#08x", name, i, g, w)
				}
			}
		}
	}
}

// Whatever the numbers are, AVX2 gives the bytes of the Go code.
func FuzzEncode_KernelsAgree(f *testing.F) {
	inputs, _ := goldenInputs()
	for _, x := range inputs {
		seed := make([]byte, 4*superBlock)
		encodeF32(seed, x[:superBlock])
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) == 0 || !cpu.X86.HasAVX2 {
			return
		}
		x, importance := make([]float32, superBlock), make([]float32, superBlock)
		for i := range x { // short inputs repeat
			var word [4]byte
			for k := range word {
				word[k] = raw[(4*i+k)%len(raw)]
			}
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(word[:]))
			importance[i] = float32(word[0]) / 16
		}
		defer func() { withAVX2 = true }()
		for _, typ := range Types {
			for _, weights := range [][]float32{nil, importance} {
				fast, plain := make([]byte, typ.Bytes(len(x))), make([]byte, typ.Bytes(len(x)))
				withAVX2 = true
				typ.EncodeRows(fast, x, weights)
				withAVX2 = false
				typ.EncodeRows(plain, x, weights)
				if !bytes.Equal(fast, plain) && typ.CheckFinite(x, plain) == nil {
					t.Errorf("%v: AVX2 % x, Go % x", typ, fast, plain)
				}
			}
		}
	})
}
