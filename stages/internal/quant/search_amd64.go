//go:build amd64

package quant

func runMin(s *minSearch)   { s.run() }
func runEven(s *evenSearch) { s.run() }

func roundMin(s *minSearch, steps, bases *column, codes *minCodes) { s.roundInGo(steps, bases, codes) }
func roundEven(s *evenSearch, steps *column, codes *evenCodes)     { s.roundInGo(steps, codes) }
