package workflow

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// SchemaField is a parameter that a plugin's schema describes.
type SchemaField struct {
	// Path is its dotted name in `with`; "*" stands for the items of a list and the values of a
	// mapping with free keys.
	Path      string
	Type      string // string, integer, number, boolean, array, object, or "" when any
	Format    string // path, duration, size, or ""
	MediaType string // x-so8t-media-type: of the file that a path names
	SameBytes bool   // x-so8t-same-bytes: changes no byte of the outputs; inherited by what is inside
	Required  bool
	Default   json.RawMessage // nil: none
	Help      string
}

// SchemaFields lists the fields of a plugin's schema, sorted by name, outer before inner.
func SchemaFields(with json.RawMessage) ([]SchemaField, error) {
	s, err := parseSchema(with)
	if err != nil {
		return nil, err
	}
	var out []SchemaField
	s.list("", false, &out)
	return out, nil
}

func (s *schema) list(prefix string, sameBytes bool, out *[]SchemaField) {
	join := func(name string) string {
		if prefix == "" {
			return name
		}
		return prefix + "." + name
	}
	for _, name := range s.keys {
		s.properties[name].listSelf(join(name), sameBytes, slices.Contains(s.required, name), out)
	}
	for _, inner := range []*schema{s.rest, s.items} {
		if inner != nil {
			inner.listSelf(join("*"), sameBytes, false, out)
		}
	}
}

func (s *schema) listSelf(path string, sameBytes, required bool, out *[]SchemaField) {
	sameBytes = sameBytes || s.sameBytes
	typ := ""
	if len(s.types) == 1 {
		typ = s.types[0]
	}
	*out = append(*out, SchemaField{
		Path: path, Type: typ, Format: s.format, MediaType: s.mediaType, SameBytes: sameBytes,
		Required: required, Default: s.fallback, Help: s.help,
	})
	s.list(path, sameBytes, out)
}

// ApplyDefaults gives with, as Resolve makes it, and the defaults of the schema where with says
// nothing; inside objects too. Writing a default out and leaving it out are the same then.
// with is not changed.
func ApplyDefaults(schema json.RawMessage, with map[string]any) (map[string]any, error) {
	s, err := parseSchema(schema)
	if err != nil {
		return nil, err
	}
	return s.fill(with)
}

func (s *schema) fill(with map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(with)+len(s.keys))
	maps.Copy(out, with)
	for _, name := range s.keys {
		p := s.properties[name]
		value, written := out[name]
		if !written && p.fallback != nil {
			v, err := decodeDefault(p.fallback)
			if err != nil {
				return nil, err
			}
			value, written = v, true
		}
		if !written && p.hasDefaults() {
			value, written = map[string]any{}, true
		}
		if !written {
			continue
		}
		filled, err := p.fillValue(value)
		if err != nil {
			return nil, err
		}
		out[name] = filled
	}
	if s.rest != nil {
		for name, value := range out {
			if s.properties[name] != nil {
				continue
			}
			filled, err := s.rest.fillValue(value)
			if err != nil {
				return nil, err
			}
			out[name] = filled
		}
	}
	return out, nil
}

// fillValue fills the objects inside a value.
func (s *schema) fillValue(value any) (any, error) {
	switch v := value.(type) {
	case map[string]any:
		return s.fill(v)
	case []any:
		if s.items == nil {
			return v, nil
		}
		out := make([]any, len(v))
		for i := range v {
			filled, err := s.items.fillValue(v[i])
			if err != nil {
				return nil, err
			}
			out[i] = filled
		}
		return out, nil
	}
	return value, nil
}

// hasDefaults tells whether an object that is not written has a value all the same.
func (s *schema) hasDefaults() bool {
	for _, p := range s.properties {
		if p.fallback != nil || p.hasDefaults() {
			return true
		}
	}
	return false
}

// decodeDefault reads a default as Resolve would give it: whole numbers are int64.
func decodeDefault(text json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return plainNumbers(v), nil
}

func plainNumbers(v any) any {
	switch x := v.(type) {
	case json.Number:
		if i, err := x.Int64(); err == nil {
			return i
		}
		f, err := x.Float64()
		if err != nil {
			return string(x)
		}
		return (&Value{Kind: Float, Float: f}).scalar()
	case []any:
		for i := range x {
			x[i] = plainNumbers(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = plainNumbers(x[k])
		}
	}
	return v
}
