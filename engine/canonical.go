package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// canonical writes v as JSON with sorted keys, no spaces and one form for each number, so
// that equal values have equal bytes: 5, 5.0 and 5e0 are 5.
func canonical(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := writeCanonical(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func writeCanonical(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case map[string]any:
		return writeObject(b, v)
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeCanonical(b, e); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case json.Number:
		return writeNumber(b, v)
	case float64:
		return writeFloat(b, v)
	case json.RawMessage:
		return writeCanonical(b, decodeJSON(v))
	}
	return writeText(b, v)
}

func writeObject(b *bytes.Buffer, object map[string]any) error {
	b.WriteByte('{')
	for i, key := range slices.Sorted(maps.Keys(object)) {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeText(b, key); err != nil {
			return err
		}
		b.WriteByte(':')
		if err := writeCanonical(b, object[key]); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// writeText writes scalars as encoding/json does, without escaping for HTML.
func writeText(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("writing a value as JSON: %w", err)
	}
	b.Truncate(b.Len() - 1) // Encode ends with a newline
	return nil
}

func writeNumber(b *bytes.Buffer, n json.Number) error {
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		b.WriteString(strconv.FormatInt(i, 10))
		return nil
	}
	f, err := n.Float64()
	if err != nil {
		return fmt.Errorf("number %q: %w", string(n), err)
	}
	return writeFloat(b, f)
}

// maxExact is 2^53: below it a float64 holds every integer.
const maxExact = 1 << 53

func writeFloat(b *bytes.Buffer, f float64) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Errorf("%v is no JSON number", f)
	}
	if f == math.Trunc(f) && math.Abs(f) < maxExact {
		b.WriteString(strconv.FormatInt(int64(f), 10))
		return nil
	}
	b.WriteString(strconv.FormatFloat(f, 'g', -1, 64))
	return nil
}
