package plugintest

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"

	"github.com/so8t/so8t/plugins"
)

// schema is what the suite understands of the JSON Schema of a plugin's parameters.
type schema struct {
	Type                 string              `json:"type"`
	Properties           map[string]property `json:"properties"`
	Required             []string            `json:"required"`
	AdditionalProperties json.RawMessage     `json:"additionalProperties"`
}

type property struct {
	Type      string `json:"type"`
	Format    string `json:"format"`
	MediaType string `json:"x-so8t-media-type"`
	Default   any    `json:"default"`
}

var (
	pluginName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	otherName  = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
)

func (s *suite) validDescription(context.Context) error {
	d := s.description
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if !pluginName.MatchString(d.Name) {
		say("the name %q is not in kebab-case", d.Name)
	}
	if d.Kind != plugins.KindStage && d.Kind != plugins.KindEvaluator {
		say("the kind %q is neither stage nor evaluator", d.Kind)
	}
	wrong = append(wrong, s.readSchema()...)
	wrong = append(wrong, wrongOutputs(d.Outputs)...)
	seen := map[string]bool{}
	for _, m := range d.Metrics {
		if !otherName.MatchString(m.Name) || seen[m.Name] {
			say("the metric name %q is not in snake_case or there twice", m.Name)
		}
		if m.Better != "" && m.Better != "higher" && m.Better != "lower" {
			say("metric %q: better is %q, not higher or lower", m.Name, m.Better)
		}
		seen[m.Name] = true
	}
	if p := s.schema.Properties["predictions"]; d.Kind == plugins.KindEvaluator &&
		(p.Format != "path" || !slices.Contains(s.schema.Required, "predictions")) {
		say("an evaluator has the required parameter predictions, of format path")
	}
	return list(wrong)
}

// readSchema parses the schema and says what is wrong with it.
func (s *suite) readSchema() []string {
	if err := json.Unmarshal(s.description.With, &s.schema); err != nil {
		return []string{fmt.Sprintf("the schema of its parameters is no JSON Schema: %v", err)}
	}
	var wrong []string
	if s.schema.Type != "object" {
		wrong = append(wrong, fmt.Sprintf("the schema of its parameters has the type %q, not object", s.schema.Type))
	}
	for _, name := range s.schema.Required {
		if _, ok := s.schema.Properties[name]; !ok {
			wrong = append(wrong, fmt.Sprintf("the required parameter %q is no property of the schema", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.schema.Properties)) {
		if p := s.schema.Properties[name]; p.Default != nil && !p.fits(p.Default) {
			wrong = append(wrong, fmt.Sprintf("the default of %q is no %s", name, p.Type))
		}
	}
	return wrong
}

func wrongOutputs(outputs []plugins.Output) []string {
	var wrong []string
	seen := map[string]bool{}
	for _, o := range outputs {
		p := o.Path
		if p == "" {
			p = o.Name
		}
		if !otherName.MatchString(o.Name) || seen[o.Name] {
			wrong = append(wrong, fmt.Sprintf("the output name %q is not in snake_case or there twice", o.Name))
		}
		if !fs.ValidPath(path.Clean(p)) || path.Clean(p) == "." {
			wrong = append(wrong, fmt.Sprintf("output %q: the path %q is not below the output folder", o.Name, p))
		}
		seen[o.Name] = true
	}
	return wrong
}

// bad are parameters that a plugin must refuse, in words too; nil when none are known.
func (s schema) bad(missing string) (with json.RawMessage, what string) {
	values := map[string]any{}
	for _, name := range s.Required {
		if p := s.Properties[name]; p.Type == "string" && p.Format == "path" {
			values[name], what = missing, fmt.Sprintf("a file for %q that is not there", name)
		}
	}
	if what == "" && string(s.AdditionalProperties) == "false" {
		values["so8t_no_such_parameter"], what = true, "a parameter that it does not describe"
	}
	if what == "" {
		return nil, ""
	}
	return encode(values), what
}

// unknown lists the required parameters for which the suite has no value.
func (s schema) unknown(known map[string]any) []string {
	var names []string
	for _, name := range s.Required {
		if _, ok := known[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// filled is values with the schema's defaults, as the engine hands them in.
func (s schema) filled(values map[string]any) json.RawMessage {
	out := map[string]any{}
	for name, p := range s.Properties {
		if p.Default != nil {
			out[name] = p.Default
		}
	}
	maps.Copy(out, values)
	return encode(out)
}

func encode(values map[string]any) json.RawMessage {
	b, err := json.Marshal(values)
	if err != nil {
		panic(fmt.Sprintf("plugintest: encoding %v: %v", slices.Sorted(maps.Keys(values)), err)) // texts and booleans
	}
	return b
}

// fits says whether a value of a JSON document is of the property's type.
func (p property) fits(v any) bool {
	switch v := v.(type) {
	case string:
		return p.Type == "string" || p.Type == ""
	case bool:
		return p.Type == "boolean" || p.Type == ""
	case float64:
		return p.Type == "number" || p.Type == "" || p.Type == "integer" && v == math.Trunc(v)
	case []any:
		return p.Type == "array" || p.Type == ""
	}
	return p.Type == "object" || p.Type == ""
}
