//go:build !amd64

package quant

func across(columns []column, src []float32) { acrossInGo(columns, src) }
func weighByMagnitude(s *minSearch)          { s.weighByMagnitudeInGo() }

func runMin(s *minSearch)   { s.run() }
func runEven(s *evenSearch) { s.run() }

func roundMin(s *minSearch, steps, bases *column, codes *minCodes) { s.roundInGo(steps, bases, codes) }
func roundEven(s *evenSearch, steps *column, codes *evenCodes)     { s.roundInGo(steps, codes) }

func encodeF16(dst []byte, src []float32)  { encodeF16InGo(dst, src) }
func decodeF16(dst []float32, src []byte)  { decodeF16InGo(dst, src) }
func decodeBF16(dst []float32, src []byte) { decodeBF16InGo(dst, src) }

func q8Codes(dst *[q8Block]byte, src *[q8Block]float32) float32 { return q8CodesInGo(dst, src) }
