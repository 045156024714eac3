package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Change is one part of a fingerprint that differs from the last time the stage was done.
// From and To are JSON values; null is absent.
type Change struct {
	// Field is dotted: with.lora.r, input.train, env.SEED, plugin.revision, facts.backend.
	Field string          `json:"field"`
	From  json.RawMessage `json:"from"`
	To    json.RawMessage `json:"to"`
	// Because names the stage whose output brought the change, or is "".
	Because string `json:"because,omitempty"`
}

// String writes the change as `plan` shows it: with.lora.r: 32 → 64; input train: sha256:… → sha256:…,
// because stage data made another; plugin revision: 1 → 2.
func (c Change) String() string {
	field := c.Field
	for prefix, word := range map[string]string{"input.": "input ", "plugin.": "plugin "} {
		if rest, ok := strings.CutPrefix(field, prefix); ok {
			field = word + rest
		}
	}
	s := fmt.Sprintf("%s: %s → %s", field, shortValue(c.From), shortValue(c.To))
	if c.Because != "" {
		s += fmt.Sprintf(", because stage %s made another", c.Because)
	}
	return s
}

// shortValue writes a JSON value for people: absent for null, digests by their first 12 digits.
func shortValue(v json.RawMessage) string {
	v = bytes.TrimSpace(v)
	if len(v) == 0 || bytes.Equal(v, []byte("null")) {
		return "absent"
	}
	var text string
	if json.Unmarshal(v, &text) != nil {
		return clip(string(v), 60)
	}
	if digest, ok := strings.CutPrefix(text, digestPrefix); ok && len(digest) > 12 {
		return digestPrefix + digest[:12]
	}
	return clip(fmt.Sprintf("%q", text), 60)
}

func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
