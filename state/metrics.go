package state

import (
	"encoding/json"
	"fmt"
	"math"
)

// Metrics are a stage's final values by name. JSON has no NaN and no infinities, which
// is what a loss becomes when training fails: they are stored as text.
type Metrics map[string]float64

const (
	textNaN    = "NaN"
	textPosInf = "+Inf"
	textNegInf = "-Inf"
)

// MarshalJSON writes an object, sorted by name.
func (m Metrics) MarshalJSON() ([]byte, error) {
	if m == nil {
		return []byte("null"), nil
	}
	out := make(map[string]any, len(m))
	for name, v := range m {
		switch {
		case math.IsNaN(v):
			out[name] = textNaN
		case math.IsInf(v, 1):
			out[name] = textPosInf
		case math.IsInf(v, -1):
			out[name] = textNegInf
		default:
			out[name] = v
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *Metrics) UnmarshalJSON(b []byte) error {
	var in map[string]json.RawMessage
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if in == nil {
		*m = nil
		return nil
	}
	out := make(Metrics, len(in))
	for name, raw := range in {
		var v float64
		switch text := string(raw); text {
		case `"` + textNaN + `"`:
			v = math.NaN()
		case `"` + textPosInf + `"`:
			v = math.Inf(1)
		case `"` + textNegInf + `"`:
			v = math.Inf(-1)
		default:
			if err := json.Unmarshal(raw, &v); err != nil {
				return fmt.Errorf("metric %q: %w", name, err)
			}
		}
		out[name] = v
	}
	*m = out
	return nil
}
