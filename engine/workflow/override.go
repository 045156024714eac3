package workflow

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Override gives with, which stays as it is, with other values in some fields: values maps dotted
// names to texts. A text is read by the type that the plugin's schema gives the field; it is text
// where that allows text, and JSON where it wants a list or a mapping. The error is Problems when
// the result does not fit the schema.
func Override(schema json.RawMessage, with *Value, values map[string]string) (*Value, error) {
	s, err := parseSchema(schema)
	if err != nil {
		return nil, err
	}
	c := schemaCheck{report: newReport()}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		with = c.put(with, s, strings.Split(name, "."), values[name], "with")
	}
	if len(c.report.problems) == 0 {
		c.value(with, s, Pos{}, "with")
	}
	return with, c.report.err()
}

// put returns a copy of v with the text at the place that names lead to.
func (c schemaCheck) put(v *Value, s *schema, names []string, text, what string) *Value {
	if len(names) == 0 {
		return c.fromText(s, text, what)
	}
	if len(s.types) > 0 && !slices.Contains(s.types, "object") {
		c.report.add(Pos{}, CodeUnknownKey, "", "%s is no mapping and has no field %q", what, names[0])
		return v
	}
	out := &Value{Kind: Map}
	if v != nil && v.Kind == Map {
		copied := *v
		out = &copied
		out.Fields = slices.Clone(v.Fields)
	}
	child := s.properties[names[0]]
	switch {
	case child != nil:
	case s.rest != nil:
		child = s.rest
	case s.closed || len(s.properties) > 0: // what a file may hold for later, nobody overrides on purpose
		c.report.add(Pos{}, CodeUnknownKey, c.report.suggest(names[0], s.keys), "unknown key %q in %s", names[0], what)
		return out
	default:
		child = &schema{}
	}
	i := slices.IndexFunc(out.Fields, func(f Field) bool { return f.Key == names[0] })
	if i < 0 {
		i = len(out.Fields)
		out.Fields = append(out.Fields, Field{Key: names[0]})
	}
	out.Fields[i].Value = c.put(out.Fields[i].Value, child, names[1:], text, what+"."+names[0])
	return out
}

// fromText reads a text as what the schema wants.
func (c schemaCheck) fromText(s *schema, text, what string) *Value {
	asText := &Value{Kind: Text, Text: text, source: text}
	v := asText
	r := resolvePlain(text)
	if r.code != "" {
		v = &Value{Kind: broken}
	} else if r.kind != Text {
		v = &Value{Kind: r.kind, Bool: r.b, Int: r.i, Float: r.f, source: text}
	} else if parsed, ok := decodeNumbers([]byte(text)); ok {
		v = fromJSON(parsed)
	}
	for _, t := range s.types {
		if t != "string" && v.Kind != broken && v.is(t) {
			return v
		}
	}
	switch {
	case slices.Contains(s.types, "string"):
		return asText
	case v.Kind == broken:
		c.report.add(Pos{}, r.code, "", "%s: %s is no number that can be read", what, shorten(text))
	}
	return v
}

// decodeNumbers reads one JSON document, its numbers as they are written.
func decodeNumbers(text []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if !json.Valid(text) || d.Decode(&v) != nil {
		return nil, false
	}
	return v, true
}

// fromJSON turns decoded JSON into a value; what is in it has no place.
func fromJSON(v any) *Value {
	switch v := v.(type) {
	case bool:
		return &Value{Kind: Bool, Bool: v}
	case json.Number:
		r := resolveNumber(v.String())
		if r.code != "" {
			return &Value{Kind: Text, Text: v.String()} // too large for any field
		}
		return &Value{Kind: r.kind, Int: r.i, Float: r.f, source: v.String()}
	case string:
		return &Value{Kind: Text, Text: v, source: v}
	case []any:
		out := &Value{Kind: List}
		for _, item := range v {
			out.Items = append(out.Items, fromJSON(item))
		}
		return out
	case map[string]any:
		out := &Value{Kind: Map}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out.Fields = append(out.Fields, Field{Key: key, Value: fromJSON(v[key])})
		}
		return out
	}
	return &Value{Kind: Null}
}
