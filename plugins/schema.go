package plugins

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// SchemaOf derives the JSON Schema of a config struct from its fields' tags, so that the
// parameters of a stage are written once:
//
//	type Config struct {
//		Base string  `json:"base" format:"path" required:"true" help:"Hugging Face folder"`
//		LR   float64 `json:"lr" default:"2e-4" min:"0" help:"peak learning rate"`
//		Keep int     `json:"keep" default:"5" min:"1" bytes:"same"` // does not change the outputs
//	}
//
// Tags: json (name), default, required, help, enum (comma separated), min, max, exmin, exmax
// (exclusive bounds), pattern, format (path, duration, size), media (media type of an input),
// bytes:"same" (the field does not change output bytes and stays out of the fingerprint:
// "x-so8t-same-bytes"), outputs:"true" (a map: its keys name further outputs, its values their
// paths below the output folder, as Description.OutputsOf lists them: "x-so8t-outputs"). Nested structs are objects, slices arrays, map[string]T objects with
// additionalProperties. Pointers are their element.
// It panics on a field type it does not know: that is a bug in the stage.
func SchemaOf(config any) json.RawMessage {
	s := schemaOf(reflect.TypeOf(config))
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("plugins: schema of %T: %v", config, err))
	}
	return b
}

func schemaOf(t reflect.Type) map[string]any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint64, reflect.Uint32:
		return map[string]any{"type": "integer"}
	case reflect.Float64, reflect.Float32:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Interface:
		return map[string]any{}
	case reflect.Struct:
		return objectSchema(t)
	}
	panic(fmt.Sprintf("plugins: no schema for %s", t))
}

func objectSchema(t reflect.Type) map[string]any {
	props := map[string]any{}
	var required []string
	for i := range t.NumField() {
		f := t.Field(i)
		name := fieldName(f)
		if name == "" {
			continue
		}
		s := schemaOf(f.Type)
		annotate(s, f)
		props[name] = s
		if f.Tag.Get("required") == "true" {
			required = append(required, name)
		}
	}
	out := map[string]any{"type": "object", "additionalProperties": false, "properties": props}
	if required != nil {
		out["required"] = required
	}
	return out
}

func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if !f.IsExported() || name == "-" || name == "" {
		return ""
	}
	return name
}

func annotate(s map[string]any, f reflect.StructField) {
	target := s
	if items, ok := s["items"].(map[string]any); ok {
		target = items // format, enum and bounds of a list are those of its elements
	} else if values, ok := s["additionalProperties"].(map[string]any); ok && s["type"] == "object" {
		target = values
	}
	if _, typed := target["type"]; !typed && f.Tag.Get("format") == "path" {
		target["items"] = map[string]any{"type": "string", "format": "path"} // one path, or a list of them
	}
	for tag, key := range map[string]string{"format": "format", "pattern": "pattern", "media": "x-so8t-media-type"} {
		if v := f.Tag.Get(tag); v != "" {
			target[key] = v
		}
	}
	for tag, key := range map[string]string{"min": "minimum", "max": "maximum", "exmin": "exclusiveMinimum", "exmax": "exclusiveMaximum"} {
		if v := f.Tag.Get(tag); v != "" {
			target[key] = json.Number(v)
		}
	}
	if v := f.Tag.Get("enum"); v != "" {
		target["enum"] = strings.Split(v, ",")
	}
	if v := f.Tag.Get("help"); v != "" {
		s["description"] = v
	}
	if v, ok := f.Tag.Lookup("default"); ok {
		s["default"] = defaultValue(f, v)
	}
	if f.Tag.Get("bytes") == "same" {
		s["x-so8t-same-bytes"] = true
	}
	if f.Tag.Get("outputs") == "true" {
		s["x-so8t-outputs"] = true
	}
}

// defaultValue reads a default tag: JSON for everything but plain strings.
func defaultValue(f reflect.StructField, text string) any {
	t := f.Type
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.String {
		return text
	}
	if !json.Valid([]byte(text)) {
		panic(fmt.Sprintf("plugins: default of field %s is no JSON: %s", f.Name, text))
	}
	return json.RawMessage(text)
}

// DecodeWith fills config (a pointer to a struct as SchemaOf takes it) from a stage's `with`:
// the defaults of its tags first, then what the user wrote. Unknown fields are an error of
// code BadInput; the engine has checked the schema before, so a stage rarely sees one.
func DecodeWith(with json.RawMessage, config any) error {
	if err := setDefaults(reflect.ValueOf(config).Elem()); err != nil {
		return err
	}
	if len(bytes.TrimSpace(with)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(with))
	d.DisallowUnknownFields()
	if err := d.Decode(config); err != nil {
		return Errorf(BadInput, "reading parameters: %w", err)
	}
	return nil
}

func setDefaults(v reflect.Value) error {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if fieldName(f) == "" {
			continue
		}
		if text, ok := f.Tag.Lookup("default"); ok {
			if f.Type.Kind() == reflect.String {
				text = strconv.Quote(text)
			}
			if err := json.Unmarshal([]byte(text), v.Field(i).Addr().Interface()); err != nil {
				return fmt.Errorf("default of field %s: %w", f.Name, err)
			}
			continue
		}
		if f.Type.Kind() == reflect.Struct {
			if err := setDefaults(v.Field(i)); err != nil {
				return err
			}
		}
	}
	return nil
}
