package workflow

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
)

type object = map[string]any

// schemaWriter writes the JSON Schema of the language from the tables of keys.
type schemaWriter struct {
	plugins map[string]json.RawMessage
}

// JSONSchema is the JSON Schema of the language, for editors. plugins holds the schema of `with`
// of each built-in stage.
func JSONSchema(plugins map[string]json.RawMessage) ([]byte, error) {
	s := &schemaWriter{plugins: plugins}
	root := s.mapping(topKeys)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "so8t workflow"
	root["patternProperties"] = object{"^x-": object{}}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	return append(out, '\n'), nil
}

func (s *schemaWriter) mapping(table []keySpec) object {
	properties := object{}
	var required []string
	for _, k := range table {
		property := k.schema(s)
		if k.help != "" {
			property["description"] = k.help
		}
		if k.fallback != nil {
			property["default"] = k.fallback
		}
		if k.example != nil {
			property["examples"] = []any{k.example}
		}
		if k.required {
			required = append(required, k.name)
		} else {
			property = orNull(property)
		}
		properties[k.name] = property
	}
	out := object{"type": "object", "additionalProperties": false, "properties": properties}
	if required != nil {
		out["required"] = required
	}
	return out
}

const referencePattern = `\$\{`

func text(*schemaWriter) object      { return object{"type": "string"} }
func boolean(*schemaWriter) object   { return object{"type": "boolean"} }
func anyObject(*schemaWriter) object { return object{"type": "object"} }
func scalarSchema(*schemaWriter) object {
	return object{"type": []string{"string", "number", "boolean", "null"}}
}

func scalarList(s *schemaWriter) object {
	return object{"type": "array", "items": scalarSchema(s)}
}

// orReference is a schema, or a text with references in it.
func orReference(s object) object {
	return object{"anyOf": []object{s, {"type": "string", "pattern": referencePattern}}}
}

// orNull lets a key be there without a value, which is the same as not being there.
func orNull(s object) object {
	switch {
	case s["anyOf"] != nil:
		s["anyOf"] = append(s["anyOf"].([]object), object{"type": "null"})
	case s["enum"] == nil:
		if typ, ok := s["type"].(string); ok {
			s["type"] = []string{typ, "null"}
		}
	}
	return s
}

func integer(lo, hi int) func(*schemaWriter) object {
	return func(*schemaWriter) object {
		s := object{"type": "integer", "minimum": lo}
		if hi != math.MaxInt32 {
			s["maximum"] = hi
		}
		return orReference(s)
	}
}

func factor(*schemaWriter) object {
	return orReference(object{"type": "number", "minimum": 1})
}

func booleanOrReference(*schemaWriter) object { return orReference(object{"type": "boolean"}) }

func duration(*schemaWriter) object {
	return orReference(object{"type": "string", "pattern": `^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ms|s|m|h|d))+$`})
}

func size(*schemaWriter) object {
	return orReference(object{"type": "string", "pattern": `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(B|[kKMGT]B|[KMGT]iB)$`})
}

// named is a mapping of names that a user chooses.
func named(value object) object {
	return object{
		"type": "object", "propertyNames": object{"pattern": `^[^\s0-9.\-/\[\]${}][^\s./\[\]${}]*$`, "maxLength": maxNameLength},
		"additionalProperties": value,
	}
}

func constant(value any) func(*schemaWriter) object {
	return func(*schemaWriter) object { return object{"const": value} }
}

func whenSchema(*schemaWriter) object {
	return object{"anyOf": []object{{"enum": whenWords}, {"type": "string"}}}
}

func textList(*schemaWriter) object {
	return object{"type": "array", "items": object{"type": "string"}}
}

func oneOrMore(*schemaWriter) object {
	return object{"anyOf": []object{{"type": "string"}, {"type": "array", "items": object{"type": "string"}, "uniqueItems": true}}}
}

func textMap(*schemaWriter) object {
	return object{"type": "object", "additionalProperties": object{"type": "string"}}
}

func envSchema(s *schemaWriter) object {
	return object{
		"type": "object", "propertyNames": object{"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
		"additionalProperties": scalarSchema(s),
	}
}

func errorCodesSchema(*schemaWriter) object {
	return object{"type": "array", "items": object{"enum": errorCodes}, "uniqueItems": true}
}

func paramTypeSchema(*schemaWriter) object {
	return object{"enum": paramTypes}
}

func paramsSchema(s *schemaWriter) object {
	return named(object{"anyOf": []object{{"type": []string{"string", "number", "boolean"}}, s.mapping(paramKeys)}})
}

func defaultsSchema(s *schemaWriter) object  { return s.mapping(defaultsKeys) }
func resourcesSchema(s *schemaWriter) object { return s.mapping(resourceKeys) }

func retrySchema(s *schemaWriter) object {
	return object{"anyOf": []object{integer(0, maxRetries)(s), s.mapping(retryKeys)}}
}

func usesSchema(s *schemaWriter) object {
	if len(s.plugins) == 0 {
		return object{"type": "string"}
	}
	return object{"anyOf": []object{
		{"enum": slices.Sorted(maps.Keys(s.plugins))}, {"type": "string", "pattern": `^\./`},
	}}
}

// stagesSchema ties `with` to the schema of the stage that `uses` names.
func stagesSchema(s *schemaWriter) object {
	stage := s.mapping(stageKeys)
	var cases []object
	for _, name := range slices.Sorted(maps.Keys(s.plugins)) {
		cases = append(cases, object{
			"if":   object{"properties": object{"uses": object{"const": name}}, "required": []string{"uses"}},
			"then": object{"properties": object{"with": referable(name, s.plugins[name])}},
		})
	}
	if cases != nil {
		stage["allOf"] = cases
	}
	stages := named(stage)
	stages["minProperties"] = 1
	return stages
}

// referable gives the schema of `with` in which a reference may stand for every value.
func referable(name string, schema json.RawMessage) any {
	var s object
	if json.Unmarshal(schema, &s) != nil {
		return schema
	}
	if s["description"] == nil {
		s["description"] = "parameters of the stage " + name
	}
	return orNull(referableFields(s))
}

func referableFields(s object) object {
	properties, _ := s["properties"].(object)
	for name, p := range properties {
		if field, ok := p.(object); ok {
			properties[name] = referableValue(field)
		}
	}
	return s
}

func referableValue(s object) object {
	inner := referableFields(s)
	if items, ok := s["items"].(object); ok {
		inner["items"] = referableValue(items)
	}
	if s["type"] == "string" && s["enum"] == nil && s["pattern"] == nil {
		return inner
	}
	out := object{"anyOf": []object{inner, {"type": "string", "pattern": referencePattern}}}
	for _, key := range []string{"description", "default"} {
		if value, ok := s[key]; ok {
			out[key] = value
			delete(inner, key) // editors show it beside the key, for all forms of the value
		}
	}
	return out
}

func slotsSchema(s *schemaWriter) object {
	return named(integer(1, math.MaxInt32)(s))
}

func matrixSchema(s *schemaWriter) object {
	values := scalarList(s)
	values["minItems"] = 1
	return object{
		"type": "object", "minProperties": 1, "properties": object{"from": oneOrMore(s)},
		"additionalProperties": values,
	}
}

func hooksSchema(s *schemaWriter) object { return s.mapping(hookEvents) }

func hookSchema(s *schemaWriter) object {
	hook := s.mapping(hookKeys)
	hook["oneOf"] = []object{{"required": []string{"run"}}, {"required": []string{"webhook"}}}
	return hook
}
