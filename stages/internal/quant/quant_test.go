package quant

import (
	"math"
	"testing"
)

// Every half widens and rounds back to itself; a value between two goes to the nearer, a tie to
// the even one.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		v := widen(uint16(h))
		if v != v {
			continue
		}
		if got := half(v); got != uint16(h) {
			t.Fatalf("%#04x widens to %v and rounds to %#04x", h, v, got)
		}
		if next := widen(uint16(h) + 1); h&0x7fff < 0x7bff {
			even := uint16(h) + uint16(h)&1
			if got := half(float32((float64(v) + float64(next)) / 2)); got != even {
				t.Fatalf("the middle of %v and %v rounds to %#04x, want %#04x", v, next, got, even)
			}
		}
	}
	for v, want := range map[float32]uint16{65504: 0x7bff, 65519: 0x7bff, 65520: 0x7c00, 1e30: 0x7c00, 1e-10: 0, float32(math.Inf(-1)): 0xfc00} {
		if got := half(v); got != want {
			t.Errorf("half(%v) = %#04x, want %#04x", v, got, want)
		}
	}
}

func TestBrain_TiesToEven(t *testing.T) {
	for bits, want := range map[uint32]uint16{0x3f808000: 0x3f80, 0x3f818000: 0x3f82, 0x3f808001: 0x3f81, 0x7f7fffff: 0x7f80} {
		if got := brain(math.Float32frombits(bits)); got != want {
			t.Errorf("%#08x: %#04x, want %#04x", bits, got, want)
		}
	}
	if got := brain(float32(math.NaN())); got&0x7fff <= 0x7f80 {
		t.Errorf("NaN becomes %#04x", got)
	}
}

func TestQ8_RoundsHalfAwayFromZeroWithTheUnroundedScale(t *testing.T) {
	src := make([]float32, 64)
	src[0], src[1], src[2] = 127, 0.5, -0.5
	src[32] = 0 // a block of zeros has scale 0
	dst := make([]byte, Q8_0.Bytes(64))
	Q8_0.Encode(dst, src)
	if codes := []int8{int8(dst[2]), int8(dst[3]), int8(dst[4])}; codes[0] != 127 || codes[1] != 1 || codes[2] != -1 {
		t.Errorf("codes %v, want 127 1 -1", codes)
	}
	back := make([]float32, 64)
	Q8_0.Decode(back, dst)
	if back[0] != 127 || back[40] != 0 {
		t.Errorf("decoded %v, %v", back[0], back[40])
	}
}

// llama.cpp refuses to load what is not finite, so it is found before it is written.
func TestCheckFinite(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, typ := range Types {
		for _, c := range []struct {
			v  float32
			ok bool
		}{{1, true}, {-1e-30, true}, {inf, false}, {-inf, false}, {nan, false}} {
			for _, at := range []int{0, 1, 255, 256, 511} {
				x := make([]float32, 512)
				x[511-at/2] = 3
				x[at] = c.v
				b := make([]byte, typ.Bytes(len(x)))
				typ.Encode(b, x)
				if err := typ.CheckFinite(x, b); (err == nil) != c.ok {
					t.Errorf("%v with %v at %d: %v", typ, c.v, at, err)
				}
			}
		}
	}
	b := make([]byte, 2)
	F16.Encode(b, []float32{70000})
	if F16.CheckFinite(nil, b) == nil {
		t.Error("70000 is finite in F16")
	}
	x := make([]float32, 256)
	x[7] = 1e10
	b = make([]byte, Q4K.Bytes(len(x)))
	Q4K.Encode(b, x)
	if Q4K.CheckFinite(x, b) == nil {
		t.Error("a scale of 1e10/15 is finite in float16")
	}
}
