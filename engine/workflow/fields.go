package workflow

import (
	"encoding/json"
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
