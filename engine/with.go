package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// withSchema is the part of a plugin's JSON Schema that the engine itself acts on. That a
// value fits it was checked by the workflow package.
type withSchema struct {
	Type       string                 `json:"type"`
	Format     string                 `json:"format"`
	Default    json.RawMessage        `json:"default"`
	SameBytes  bool                   `json:"x-so8t-same-bytes"`
	Properties map[string]*withSchema `json:"properties"`
	Items      *withSchema            `json:"items"`
	// Additional is a schema, true or false.
	Additional json.RawMessage `json:"additionalProperties"`

	// fallback is the decoded Default, rest what Additional says of fields without a schema of
	// their own. Both are read once: a plan asks for them for every instance.
	fallback any
	rest     *withSchema
}

func parseWithSchema(text json.RawMessage) (*withSchema, error) {
	var s withSchema
	if len(bytes.TrimSpace(text)) == 0 {
		return &s, nil
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("reading schema of with: %w", err)
	}
	s.settle()
	return &s, nil
}

// settle decodes what the schema holds as raw JSON, all the way down.
func (s *withSchema) settle() {
	if s.Default != nil {
		s.fallback = decodeJSON(s.Default)
	}
	for _, p := range s.Properties {
		p.settle()
	}
	if s.Items != nil {
		s.Items.settle()
	}
	var rest withSchema
	if json.Unmarshal(s.Additional, &rest) == nil {
		s.rest = &rest
		s.rest.settle()
	}
}

// anything is the schema of a field of which nothing is said.
var anything = &withSchema{}

// field returns the schema of one property; one that says nothing when there is none.
func (s *withSchema) field(name string) *withSchema {
	if p := s.Properties[name]; p != nil {
		return p
	}
	if s.rest != nil {
		return s.rest
	}
	return anything
}

func (s *withSchema) element() *withSchema {
	if s.Items == nil {
		return anything
	}
	return s.Items
}

// withDefaults returns value with the schema's defaults where nothing was written, so that
// writing a default and leaving it out are the same work.
func (s *withSchema) withDefaults(value map[string]any) map[string]any {
	out := maps.Clone(value)
	if out == nil {
		out = map[string]any{}
	}
	for name, p := range s.Properties {
		given, ok := out[name]
		switch {
		case ok:
			if object, isObject := given.(map[string]any); isObject && p.Properties != nil {
				out[name] = p.withDefaults(object)
			}
		case p.fallback != nil:
			out[name] = p.fallback
		case p.Properties != nil:
			if nested := p.withDefaults(nil); len(nested) > 0 {
				out[name] = nested
			}
		}
	}
	return out
}

// A leaf is one value inside with that the fingerprint looks at.
type leaf struct {
	field  string // dotted, without "with."
	schema *withSchema
	value  any
}

// leaves lists what a fingerprint of value consists of, sorted by field. Fields that do not
// change the outputs' bytes are left out; lists of plain values are one leaf, others one each.
func (s *withSchema) leaves(value any) []leaf {
	var out []leaf
	s.collect(value, "", &out)
	slices.SortFunc(out, func(a, b leaf) int { return compareFields(a.field, b.field) })
	return out
}

func (s *withSchema) collect(value any, field string, out *[]leaf) {
	if s.SameBytes {
		return
	}
	switch v := value.(type) {
	case map[string]any:
		for name, child := range v {
			s.field(name).collect(child, joinField(field, name), out)
		}
	case []any:
		if !s.isPlainList(v) {
			for i, child := range v {
				s.element().collect(child, joinField(field, strconv.Itoa(i)), out)
			}
			return
		}
		*out = append(*out, leaf{field, s, v})
	default:
		*out = append(*out, leaf{field, s, v})
	}
}

// isPlainList reports whether no element of list is an input or has parts of its own.
func (s *withSchema) isPlainList(list []any) bool {
	if s.element().Format == formatPath {
		return false
	}
	for _, v := range list {
		switch v.(type) {
		case map[string]any, []any, outputRef, concat:
			return false
		}
	}
	return true
}

// formatPath marks a field whose value names a file or folder: an input.
const formatPath = "path"

func joinField(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

// compareFields orders dotted names with numbers by value: inputs.2 before inputs.10.
func compareFields(a, b string) int {
	if len(a) != len(b) {
		an, aNumber := trailingNumber(a)
		bn, bNumber := trailingNumber(b)
		if an == bn && aNumber >= 0 && bNumber >= 0 {
			return aNumber - bNumber
		}
	}
	return cmpString(a, b)
}

func trailingNumber(s string) (string, int) {
	i := len(s)
	for i > 0 && s[i-1] >= '0' && s[i-1] <= '9' {
		i--
	}
	if i == len(s) {
		return s, -1
	}
	n, err := strconv.Atoi(s[i:])
	if err != nil {
		return s, -1
	}
	return s[:i], n
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// decodeJSON reads JSON with its numbers as written; nil for null and for what is no JSON.
func decodeJSON(text json.RawMessage) any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

// asInt reads an integral JSON number.
func asInt(v any) (int, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		return int(f), err == nil && f == float64(int(f))
	case float64:
		return int(v), v == float64(int(v))
	case int64:
		return int(v), true
	case int:
		return v, true
	}
	return 0, false
}

func itoa(n int) string { return strconv.Itoa(n) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
