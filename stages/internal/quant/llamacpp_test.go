package quant

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"
)

// goldenColumns is the width of the rows in testdata/llamacpp.json.
const goldenColumns = 768

// numbers is SplitMix64: the inputs of the recorded digests, the same on every machine.
type numbers uint64

func (n *numbers) next() uint64 {
	*n += 0x9e3779b97f4a7c15
	z := uint64(*n)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// uniform is in [-1, 1), a multiple of 2⁻²³.
func (n *numbers) uniform() float32 { return float32(int64(n.next()>>40)-1<<23) / (1 << 23) }

// bell is a sum of four: about normal, exact in float32.
func (n *numbers) bell() float32 {
	return n.uniform()/4 + n.uniform()/4 + n.uniform()/4 + n.uniform()/4
}

// goldenInputs are rows that a search may stumble over, and importances for their columns.
func goldenInputs() (inputs map[string][]float32, importance []float32) {
	n := numbers(1)
	rows := func(count int, f func(i int) float32) []float32 {
		x := make([]float32, count*goldenColumns)
		for i := range x {
			x[i] = f(i)
		}
		return x
	}
	scaled := func(exponent int) func(int) float32 {
		return func(int) float32 { return float32(math.Ldexp(float64(n.bell()), exponent)) }
	}
	power := 0
	inputs = map[string][]float32{}
	for _, c := range []struct {
		name string
		f    func(i int) float32
	}{
		{"bell", scaled(-5)},
		{"uniform", func(int) float32 { return n.uniform() }},
		{"positive", func(int) float32 { return 1.5 + n.uniform()/2 }},
		{"negative", func(int) float32 { return -1.5 + n.uniform()/2 }},
		{"large", scaled(17)},
		{"too large for float16", scaled(100)},
		{"small", scaled(-24)},
		{"below float16", scaled(-50)},
		{"denormal", scaled(-130)},
		{"zeros", func(int) float32 { return 0 }},
		{"negative zeros", func(int) float32 { return float32(math.Copysign(0, -1)) }},
		{"constant", func(i int) float32 { return float32(i/32%7) - 3 }},
		{"almost constant", func(int) float32 { return 1 + n.bell()/(1<<20) }},
		{"whole", func(int) float32 { return float32(int(n.next()%17) - 8) }},
		{"signs", func(int) float32 { return float32(int(n.next()%2)*2 - 1) }},
		{"sparse", func(int) float32 {
			if v := n.bell(); n.next()%32 == 0 {
				return v
			}
			return 0
		}},
		{"spikes", func(int) float32 {
			if v := n.bell() / 1024; n.next()%64 != 0 {
				return v
			}
			return 1000
		}},
		{"scales", func(i int) float32 {
			if i%16 == 0 {
				power = int(n.next()%60) - 40
			}
			return float32(math.Ldexp(float64(n.bell()), power))
		}},
	} {
		inputs[c.name] = rows(8, c.f)
	}
	for range goldenColumns {
		u := n.uniform()
		importance = append(importance, float32(u*u)+1e-6)
	}
	return inputs, importance
}

// golden is testdata/llamacpp.json: sha256 of what ggml_quantize_chunk of llama.cpp 0c1e57098
// makes of the inputs, by "input/type" and "input/type/importance", and of what it reads back,
// by "input/type/decoded".
func golden(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/llamacpp.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]string
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// sha is the digest of bytes or of little-endian float32.
func sha(v any) string {
	sum := sha256.New()
	_ = binary.Write(sum, binary.LittleEndian, v)
	return hex.EncodeToString(sum.Sum(nil))
}

func TestEncodeAndDecode_EqualLlamaCpp(t *testing.T) { eachKernel(t, equalsLlamaCpp) }

func equalsLlamaCpp(t *testing.T) {
	want := golden(t)
	inputs, importance := goldenInputs()
	checked := 0
	for name, x := range inputs {
		for _, typ := range Types[3:] {
			for suffix, weights := range map[string][]float32{"": nil, "/importance": importance} {
				dst := make([]byte, typ.Bytes(len(x)))
				typ.EncodeRows(dst, x, weights)
				key := fmt.Sprintf("%s/%v%s", name, typ, suffix)
				// What is not finite is never written, and differs between processors.
				if got := sha(dst); got != want[key] && typ.CheckFinite(x, dst) == nil {
					t.Errorf("%s: sha256 %s, want %s", key, got, want[key])
				}
				checked++
			}
			encoded, back := make([]byte, typ.Bytes(len(x))), make([]float32, len(x))
			typ.Encode(encoded, x)
			typ.Decode(back, encoded)
			key := fmt.Sprintf("%s/%v/decoded", name, typ)
			if got := sha(back); got != want[key] && typ.CheckFinite(x, encoded) == nil {
				t.Errorf("%s: sha256 %s, want %s", key, got, want[key])
			}
			checked++
		}
	}
	if checked != len(want) {
		t.Errorf("%d of %d digests were checked", checked, len(want))
	}
}
