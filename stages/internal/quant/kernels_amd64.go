package quant

import "golang.org/x/sys/cpu"

// withAVX2 reports whether the searches run in AVX2 (search_amd64.s, simple_amd64.s), else in Go. The bits are
// the same.
var withAVX2 = cpu.X86.HasAVX2

//go:noescape
func acrossAVX2(columns *column, src *float32, n int)

//go:noescape
func weighByMagnitudeAVX2(s *minSearch)

//go:noescape
func searchMinAVX2(s *minSearch)

//go:noescape
func roundMinAVX2(s *minSearch, steps, bases *column, codes *minCodes)

//go:noescape
func searchEvenAVX2(s *evenSearch)

//go:noescape
func roundEvenAVX2(s *evenSearch, steps *column, codes *evenCodes)

//go:noescape
func encodeF16AVX2(dst *byte, src *float32, n int)

//go:noescape
func decodeF16AVX2(dst *float32, src *byte, n int)

//go:noescape
func decodeBF16AVX2(dst *float32, src *byte, n int)

//go:noescape
func q8BlockAVX2(dst *[q8Block]byte, src *[q8Block]float32) float32

func encodeF16(dst []byte, src []float32) {
	n := whole(len(src), 16)
	if n > 0 {
		_ = dst[2*n-1]
		encodeF16AVX2(&dst[0], &src[0], n)
	}
	encodeF16InGo(dst[2*n:], src[n:])
}

func decodeF16(dst []float32, src []byte) {
	n := whole(len(dst), 8)
	if n > 0 {
		_ = src[2*n-1]
		decodeF16AVX2(&dst[0], &src[0], n)
	}
	decodeF16InGo(dst[n:], src[2*n:])
}

func decodeBF16(dst []float32, src []byte) {
	n := whole(len(dst), 8)
	if n > 0 {
		_ = src[2*n-1]
		decodeBF16AVX2(&dst[0], &src[0], n)
	}
	decodeBF16InGo(dst[n:], src[2*n:])
}

// whole is how many of n elements AVX2 does, in steps of step.
func whole(n, step int) int {
	if !withAVX2 {
		return 0
	}
	return n / step * step
}

func q8Codes(dst *[q8Block]byte, src *[q8Block]float32) float32 {
	if withAVX2 {
		return q8BlockAVX2(dst, src)
	}
	return q8CodesInGo(dst, src)
}

// across puts element i of sub-block j of src into lane j of columns[i]; there are 16 or 32.
func across(columns []column, src []float32) {
	n := len(columns)
	if withAVX2 {
		_ = src[n*lanes-1]
		acrossAVX2(&columns[0], &src[0], n)
		return
	}
	acrossInGo(columns, src)
}

func weighByMagnitude(s *minSearch) {
	if withAVX2 {
		weighByMagnitudeAVX2(s)
		return
	}
	s.weighByMagnitudeInGo()
}

func runMin(s *minSearch) {
	if withAVX2 {
		searchMinAVX2(s)
		return
	}
	s.run()
}

func roundMin(s *minSearch, steps, bases *column, codes *minCodes) {
	if withAVX2 {
		roundMinAVX2(s, steps, bases, codes)
		return
	}
	s.roundInGo(steps, bases, codes)
}

func runEven(s *evenSearch) {
	if withAVX2 {
		searchEvenAVX2(s)
		return
	}
	s.run()
}

func roundEven(s *evenSearch, steps *column, codes *evenCodes) {
	if withAVX2 {
		roundEvenAVX2(s, steps, codes)
		return
	}
	s.roundInGo(steps, codes)
}
