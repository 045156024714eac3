package quant

import "testing"

// BenchmarkEncode is on one thread; weights/s is the figure to compare.
func BenchmarkEncode(b *testing.B) {
	n := numbers(1)
	x := make([]float32, 64*4096)
	for i := range x {
		x[i] = n.bell() / 32
	}
	for _, typ := range Types {
		b.Run(typ.String(), func(b *testing.B) {
			dst := make([]byte, typ.Bytes(len(x)))
			for b.Loop() {
				typ.Encode(dst, x)
			}
			b.ReportMetric(float64(b.N)*float64(len(x))/b.Elapsed().Seconds()/1e6, "Mweights/s")
		})
	}
}

// BenchmarkDecode is on one thread.
func BenchmarkDecode(b *testing.B) {
	n := numbers(1)
	x := make([]float32, 64*4096)
	for i := range x {
		x[i] = n.bell() / 32
	}
	for _, typ := range Types {
		b.Run(typ.String(), func(b *testing.B) {
			src := make([]byte, typ.Bytes(len(x)))
			typ.Encode(src, x)
			for b.Loop() {
				typ.Decode(x, src)
			}
			b.ReportMetric(float64(b.N)*float64(len(x))/b.Elapsed().Seconds()/1e6, "Mweights/s")
		})
	}
}
