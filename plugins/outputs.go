package plugins

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
)

// OutputsOf lists what a run with these parameters leaves: the described outputs, and those that
// the parameter marked `x-so8t-outputs` names, sorted by name.
func (d Description) OutputsOf(with json.RawMessage) []Output {
	field := outputsField(d.With)
	if field == "" {
		return d.Outputs
	}
	var values map[string]json.RawMessage
	var named map[string]string
	if json.Unmarshal(with, &values) != nil || json.Unmarshal(values[field], &named) != nil {
		return d.Outputs // the schema's business
	}
	out := slices.Clone(d.Outputs)
	for _, name := range slices.Sorted(maps.Keys(named)) {
		out = append(out, Output{Name: name, Path: path.Clean(strings.ReplaceAll(named[name], `\`, "/"))})
	}
	return out
}

// outputsField is the name of the parameter that names further outputs; "" when there is none.
func outputsField(schema json.RawMessage) string {
	var s struct {
		Properties map[string]struct {
			Outputs bool `json:"x-so8t-outputs"`
		} `json:"properties"`
	}
	if json.Unmarshal(schema, &s) != nil {
		return ""
	}
	for name, p := range s.Properties {
		if p.Outputs {
			return name
		}
	}
	return ""
}
