package workflow

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// schema is the part of JSON Schema that plugins describe `with` by.
type schema struct {
	types      []string
	enum       []any
	minimum    *float64
	maximum    *float64
	above      *float64
	below      *float64
	properties map[string]*schema
	keys       []string // of properties, sorted
	required   []string
	closed     bool    // additionalProperties: false
	rest       *schema // additionalProperties: a schema
	items      *schema
	pattern    *regexp.Regexp
	format     string
	fallback   json.RawMessage // default
	help       string
	mediaType  string
	sameBytes  bool
	outputs    bool // its keys name further outputs
}

type rawSchema struct {
	Type       json.RawMessage            `json:"type"`
	Enum       []any                      `json:"enum"`
	Minimum    *float64                   `json:"minimum"`
	Maximum    *float64                   `json:"maximum"`
	Above      *float64                   `json:"exclusiveMinimum"`
	Below      *float64                   `json:"exclusiveMaximum"`
	Properties map[string]json.RawMessage `json:"properties"`
	Required   []string                   `json:"required"`
	Additional json.RawMessage            `json:"additionalProperties"`
	Items      json.RawMessage            `json:"items"`
	Pattern    string                     `json:"pattern"`
	Format     string                     `json:"format"`
	Default    json.RawMessage            `json:"default"`
	Help       string                     `json:"description"`
	MediaType  string                     `json:"x-so8t-media-type"`
	SameBytes  bool                       `json:"x-so8t-same-bytes"`
	Outputs    bool                       `json:"x-so8t-outputs"`
}

// parseSchema reads a JSON Schema. Nothing, and `true`, allow everything.
func parseSchema(text json.RawMessage) (*schema, error) {
	s := &schema{}
	switch string(text) {
	case "", "true", "null":
		return s, nil
	case "false":
		return nil, fmt.Errorf("reading schema: nothing is allowed")
	}
	var raw rawSchema
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("reading schema: %w", err)
	}
	s.enum, s.minimum, s.maximum, s.above, s.below = raw.Enum, raw.Minimum, raw.Maximum, raw.Above, raw.Below
	s.required, s.format, s.fallback = raw.Required, raw.Format, raw.Default
	s.help, s.mediaType, s.sameBytes, s.outputs = raw.Help, raw.MediaType, raw.SameBytes, raw.Outputs
	return s, s.parseParts(raw)
}

func (s *schema) parseParts(raw rawSchema) error {
	if len(raw.Type) > 0 {
		var one string
		if json.Unmarshal(raw.Type, &one) == nil {
			s.types = []string{one}
		} else if err := json.Unmarshal(raw.Type, &s.types); err != nil {
			return fmt.Errorf("reading schema: type: %w", err)
		}
	}
	if raw.Pattern != "" {
		re, err := regexp.Compile(raw.Pattern)
		if err != nil {
			return fmt.Errorf("reading schema: pattern: %w", err)
		}
		s.pattern = re
	}
	var err error
	switch string(raw.Additional) {
	case "", "true", "null":
	case "false":
		s.closed = true
	default:
		if s.rest, err = parseSchema(raw.Additional); err != nil {
			return err
		}
	}
	if len(raw.Items) > 0 {
		if s.items, err = parseSchema(raw.Items); err != nil {
			return err
		}
	}
	s.properties = make(map[string]*schema, len(raw.Properties))
	for name, p := range raw.Properties {
		if s.properties[name], err = parseSchema(p); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.keys = append(s.keys, name)
	}
	slices.Sort(s.keys)
	return nil
}

// schemaCheck reports where a value does not fit a schema.
type schemaCheck struct {
	report *report
	// mediaType is that of a stage's output, "" when it is not known; nil knows none.
	mediaType func(stage, output string) string
}

// value checks v. at is the place of the key that holds v, what its dotted name.
func (c schemaCheck) value(v *Value, s *schema, at Pos, what string) {
	if v.Kind == broken || s == nil {
		return
	}
	if !c.typed(v, s, what) {
		return
	}
	switch v.Kind {
	case Map:
		c.fields(v, s, at, what)
	case List:
		for i, item := range v.Items {
			c.value(item, s.items, item.Pos, fmt.Sprintf("%s[%d]", what, i))
		}
	case Output:
		c.media(v, s, what)
	case Concat, Secret:
		// Known when the stage that makes it is done.
	default:
		if c.enum(v, s, what) {
			c.bounds(v, s, what)
			c.text(v, s, what)
		}
	}
}

func (c schemaCheck) typed(v *Value, s *schema, what string) bool {
	if len(s.types) == 0 {
		return true
	}
	for _, t := range s.types {
		if v.is(t) {
			return true
		}
	}
	if s.format == "duration" || s.format == "size" {
		if v.Kind == Int || v.Kind == Float {
			c.text(v, s, what)
			return false
		}
	}
	want := make([]string, len(s.types))
	for i, t := range s.types {
		want[i] = typeNames[t]
	}
	hint := ""
	switch {
	case v.Kind == List && len(v.Items) > 0 && v.Items[0].Kind == Output && strings.HasSuffix(what, "]"):
		hint = "a reference to a stage with a matrix is a list already: write it without [ ]"
	case slices.Contains(s.types, "boolean"):
		hint = boolHint
	case slices.Contains(s.types, "string"):
		hint = quoteHint(v)
	}
	c.report.add(v.Pos, CodeWrongType, hint, "%s wants %s, not %s", what, strings.Join(want, " or "), v.what())
	return false
}

var typeNames = map[string]string{
	"string": "a text (string)", "integer": "an int", "number": "a number (float)", "boolean": "a bool",
	"array": "a list", "object": "a mapping", "null": "null",
}

func (v *Value) is(jsonType string) bool {
	switch jsonType {
	case "string":
		return v.Kind == Text || v.Kind == Output || v.Kind == Concat || v.Kind == Secret
	case "integer":
		_, ok := v.integral()
		return ok
	case "number":
		return v.Kind == Int || v.Kind == Float
	case "boolean":
		return v.Kind == Bool
	case "array":
		return v.Kind == List
	case "object":
		return v.Kind == Map
	case "null":
		return v.Kind == Null
	}
	return true
}

func (c schemaCheck) fields(v *Value, s *schema, at Pos, what string) {
	for _, f := range v.Fields {
		field := what + "." + f.Key
		switch known := s.properties[f.Key]; {
		case known != nil:
			c.value(f.Value, known, f.KeyPos, field)
		case s.rest != nil:
			c.value(f.Value, s.rest, f.KeyPos, field)
		case s.closed:
			c.report.add(f.KeyPos, CodeUnknownKey, c.report.suggest(f.Key, s.keys), "unknown key %q in %s", f.Key, what)
		}
	}
	var missing []string
	for _, r := range s.required {
		if v.Field(r) == nil {
			missing = append(missing, r)
		}
	}
	if missing != nil {
		c.report.add(at, CodeMissingKey, "", "%s lacks %s", what, strings.Join(missing, ", "))
	}
}

func (c schemaCheck) enum(v *Value, s *schema, what string) bool {
	if s.enum == nil {
		return true
	}
	known := make([]string, len(s.enum))
	for i, e := range s.enum {
		if sameScalar(v, e) {
			return true
		}
		known[i] = fmt.Sprint(e)
	}
	c.report.add(v.Pos, CodeBadEnum, c.report.suggest(v.asText(), known), "%s is %s, not one of %s", what, shorten(v.asText()), strings.Join(known, ", "))
	return false
}

// sameScalar compares a value with one of a JSON document.
func sameScalar(v *Value, e any) bool {
	switch x := e.(type) {
	case string:
		return v.Kind == Text && v.Text == x
	case bool:
		return v.Kind == Bool && v.Bool == x
	case float64:
		return v.Kind == Int && float64(v.Int) == x || v.Kind == Float && v.Float == x
	case nil:
		return v.Kind == Null
	}
	return false
}

func (c schemaCheck) bounds(v *Value, s *schema, what string) {
	n := v.Float
	switch v.Kind {
	case Int:
		n = float64(v.Int)
	case Float:
	default:
		return
	}
	must := ""
	switch {
	case s.minimum != nil && n < *s.minimum:
		must = fmt.Sprintf("%g or more", *s.minimum)
	case s.above != nil && n <= *s.above:
		must = fmt.Sprintf("more than %g", *s.above)
	case s.maximum != nil && n > *s.maximum:
		must = fmt.Sprintf("%g or less", *s.maximum)
	case s.below != nil && n >= *s.below:
		must = fmt.Sprintf("less than %g", *s.below)
	default:
		return
	}
	c.report.add(v.Pos, CodeOutOfRange, "", "%s must be %s, not %s", what, must, v.asText())
}

func (c schemaCheck) text(v *Value, s *schema, what string) {
	st := settings{d: &document{report: c.report}}
	switch s.format {
	case "duration":
		st.duration(v, what)
		return
	case "size":
		st.size(v, what)
		return
	}
	if v.Kind == Text && s.pattern != nil && !s.pattern.MatchString(v.Text) {
		c.report.add(v.Pos, CodeBadPattern, "", "%s is %s, which does not match the pattern %s", what, shorten(v.Text), s.pattern)
	}
}
