package workflow

import (
	"errors"
	"math"
	"strconv"
	"time"
)

var (
	errNoUnit   = errors.New("a bare number has no unit")
	errMalform  = errors.New("not of the form number and unit")
	errTooLarge = errors.New("too large")

	bareNumber   = lazily(`^[-+]?[0-9.]+$`)
	durationForm = lazily(`^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ms|s|m|h|d)`)
	sizeForm     = lazily(`^([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(B|[kKMGT]B|[KMGT]iB)$`)

	durationUnits = map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}
	sizeUnits = map[string]float64{
		"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}
)

// ParseDuration reads one or more of number and unit (ms s m h d) without spaces: 1h30m, 0.5h.
func ParseDuration(text string) (time.Duration, error) {
	if bareNumber().MatchString(text) {
		return 0, errNoUnit
	}
	if text == "" {
		return 0, errMalform
	}
	total := 0.0
	for rest := text; rest != ""; {
		m := durationForm().FindStringSubmatch(rest)
		if m == nil {
			return 0, errMalform
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, errTooLarge
		}
		total += n * float64(durationUnits[m[3]])
		rest = rest[len(m[0]):]
	}
	if total >= math.MaxInt64 {
		return 0, errTooLarge
	}
	return time.Duration(math.Round(total)), nil
}

// ParseSize reads number and unit (B kB MB GB TB of 1000, KiB MiB GiB TiB of 1024) as bytes.
func ParseSize(text string) (int64, error) {
	if bareNumber().MatchString(text) {
		return 0, errNoUnit
	}
	m := sizeForm().FindStringSubmatch(text)
	if m == nil {
		return 0, errMalform
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, errTooLarge
	}
	bytes := math.Round(n * sizeUnits[m[2]])
	if bytes >= math.MaxInt64 {
		return 0, errTooLarge
	}
	return int64(bytes), nil
}

const (
	durationHelp = "one or more of number and unit (ms s m h d), as in 90s or 1h30m"
	sizeHelp     = "a number and a unit (B kB MB GB TB, or KiB MiB GiB TiB), as in 4GB"
)
