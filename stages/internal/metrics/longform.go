package metrics

import (
	"bytes"
	"compress/flate"
	"strconv"
	"unicode"
)

// Cycle is a stretch of text that repeats with a period. Places count code points.
type Cycle struct {
	Start   int  `json:"start"`
	Period  int  `json:"period"`
	Length  int  `json:"length"`
	Repeats int  `json:"repeats"`
	AtEnd   bool `json:"at_end"`
}

// Longform says whether a long text runs in circles, at the level of characters (code points).
type Longform struct {
	Characters int `json:"characters"`
	// Distinct k-grams over all k-grams, k = 1…4; nil when the text is shorter.
	Distinct map[string]*float64 `json:"distinct"`
	// Repeated4gramShare is the share of positions whose 4-gram occurs at least twice.
	Repeated4gramShare *float64 `json:"repeated_4gram_share"`
	MaxRun             int      `json:"max_run"`
	// CompressionRatio is bytes after raw deflate at level 9 over bytes of UTF-8.
	CompressionRatio *float64 `json:"compression_ratio"`
	Cycle            *Cycle   `json:"cycle"`
	Oscillation      bool     `json:"oscillation"`
	Why              []string `json:"why"`
}

// Limits of the loop rule: a period of at most 64 repeated at least 4 times over at least 16
// characters with a letter or digit in it, or a compression ratio below 0.2 from 1,024
// characters on. (so8t's reference text, made precise.)
const (
	maxPeriod       = 64
	minRepeats      = 4
	minCycle        = 16
	longText        = 1024
	compressedBelow = 0.2
)

// MeasureLongform measures one text as it is: not normalised, not trimmed.
func MeasureLongform(text string) Longform {
	r := []rune(text)
	l := Longform{Characters: len(r), Distinct: map[string]*float64{}, Why: []string{}}
	for k := 1; k <= 4; k++ {
		distinct, repeated := gramShares(r, k)
		l.Distinct[strconv.Itoa(k)] = distinct
		if k == 4 {
			l.Repeated4gramShare = repeated
		}
	}
	l.MaxRun = maxRun(r)
	l.CompressionRatio = compressionRatio(text)
	if l.Cycle = longestCycle(r); l.Cycle != nil {
		l.Why = append(l.Why, "cycle")
	}
	if len(r) >= longText && *l.CompressionRatio < compressedBelow {
		l.Why = append(l.Why, "compression")
	}
	l.Oscillation = len(l.Why) > 0
	return l
}

func gramShares(r []rune, k int) (distinct, repeated *float64) {
	n := len(r) - k + 1
	if n <= 0 {
		return nil, nil
	}
	counts := map[string]int{}
	for i := range n {
		counts[string(r[i:i+k])]++
	}
	twice := 0
	for _, c := range counts {
		if c > 1 {
			twice += c
		}
	}
	d, s := float64(len(counts))/float64(n), float64(twice)/float64(n)
	return &d, &s
}

func maxRun(r []rune) int {
	longest, run := 0, 0
	for i := range r {
		if i > 0 && r[i] == r[i-1] {
			run++
		} else {
			run = 1
		}
		longest = max(longest, run)
	}
	return longest
}

func compressionRatio(text string) *float64 {
	if text == "" {
		return nil
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	_, _ = w.Write([]byte(text)) // a bytes.Buffer takes everything
	_ = w.Close()
	// Go ends a stream with an empty stored block of its own, where zlib marks the last block
	// as final: that block says nothing of the text.
	const emptyFinalBlock = 5
	ratio := float64(b.Len()-emptyFinalBlock) / float64(len(text))
	return &ratio
}

// longestCycle finds the longest run; of equal ones that of the smallest period, then the first.
func longestCycle(r []rune) *Cycle {
	var best *Cycle
	for p := 1; p <= min(maxPeriod, len(r)); p++ {
		for start := 0; start+p < len(r); {
			end := start + p
			for end < len(r) && r[end] == r[end-p] {
				end++
			}
			length := end - start
			if length/p >= minRepeats && length >= minCycle && hasWord(r[start:start+p]) && (best == nil || length > best.Length) {
				best = &Cycle{start, p, length, length / p, end == len(r)}
			}
			// The next run of this period starts after the mismatch.
			start = max(end-p+1, start+1)
		}
	}
	return best
}

func hasWord(r []rune) bool {
	for _, c := range r {
		if unicode.IsLetter(c) || unicode.IsNumber(c) {
			return true
		}
	}
	return false
}
