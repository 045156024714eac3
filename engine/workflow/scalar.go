package workflow

import (
	"math"
	"strconv"
)

// Plain scalars by the YAML 1.2 core schema. goccy/go-yaml resolves by other rules (010 is 8,
// 1e3 is text, 1_000 a number), so this looks at the source text itself.
var (
	decimalInt  = lazily(`^[-+]?[0-9]+$`)
	octalInt    = lazily(`^0o[0-7]+$`)
	hexInt      = lazily(`^0x[0-9a-fA-F]+$`)
	coreFloat   = lazily(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	notFinite   = lazily(`^([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$`)
	leadingZero = lazily(`^[-+]?0[0-9]+$`)
)

// resolved is what a plain scalar means. code is empty, or the class of the problem it has.
type resolved struct {
	kind Kind
	b    bool
	i    int64
	f    float64
	code string
}

func resolvePlain(text string) resolved {
	switch text {
	case "", "~", "null", "Null", "NULL":
		return resolved{kind: Null}
	case "true", "True", "TRUE":
		return resolved{kind: Bool, b: true}
	case "false", "False", "FALSE":
		return resolved{kind: Bool}
	}
	if c := text[0]; c != '.' && c != '-' && c != '+' && (c < '0' || c > '9') {
		return resolved{kind: Text}
	}
	return resolveNumber(text)
}

func resolveNumber(text string) resolved {
	switch {
	case leadingZero().MatchString(text):
		return resolved{kind: Int, code: CodeAmbiguousNumber}
	case decimalInt().MatchString(text):
		return resolveInt(text, 10)
	case octalInt().MatchString(text):
		return resolveInt(text[2:], 8)
	case hexInt().MatchString(text):
		return resolveInt(text[2:], 16)
	case coreFloat().MatchString(text):
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(f, 0) {
			return resolved{kind: Float, code: CodeOutOfRange}
		}
		return resolved{kind: Float, f: f}
	case notFinite().MatchString(text):
		return resolved{kind: Float, code: CodeOutOfRange}
	}
	return resolved{kind: Text}
}

func resolveInt(digits string, base int) resolved {
	i, err := strconv.ParseInt(digits, base, 64)
	if err != nil {
		return resolved{kind: Int, code: CodeOutOfRange}
	}
	return resolved{kind: Int, i: i}
}
