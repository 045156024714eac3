package workflow

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

// Descriptions are what plugins describe, kept in a file, so that a workflow can be checked
// without starting them.
type Descriptions struct {
	plugins map[string]*PluginSpec
}

type describeFile struct {
	About   string                    `json:"about,omitempty"`
	Plugins map[string]describePlugin `json:"plugins"`
}

type describePlugin struct {
	With     json.RawMessage   `json:"with"`
	Outputs  []string          `json:"outputs"`
	Volatile []string          `json:"volatile,omitempty"`
	Optional []string          `json:"optional,omitempty"`
	Media    map[string]string `json:"media_types,omitempty"`
	Metrics  *[]string         `json:"metrics,omitempty"` // absent: not listed
}

// DescribeFile reads descriptions as EncodeDescriptions writes them:
//
//	{"plugins": {"train": {"with": {JSON Schema}, "outputs": ["adapter"], "metrics": ["loss"]}}}
func DescribeFile(path string) (*Descriptions, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading descriptions: %w", err)
	}
	var file describeFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("reading descriptions %q: %w", path, err)
	}
	if file.Plugins == nil {
		return nil, fmt.Errorf("reading descriptions %q: it has no plugins", path)
	}
	d := &Descriptions{plugins: make(map[string]*PluginSpec, len(file.Plugins))}
	for name, p := range file.Plugins {
		spec := &PluginSpec{With: p.With, ReportsMetrics: p.Metrics != nil}
		if p.Metrics != nil {
			spec.Metrics = *p.Metrics
		}
		for _, o := range p.Outputs {
			spec.Outputs = append(spec.Outputs, OutputSpec{
				Name: o, MediaType: p.Media[o],
				Volatile: slices.Contains(p.Volatile, o), Optional: slices.Contains(p.Optional, o),
			})
		}
		d.plugins[name] = spec
	}
	return d, nil
}

// Describe is an Options.Describe.
func (d *Descriptions) Describe(uses string) (*PluginSpec, error) {
	if spec, ok := d.plugins[uses]; ok {
		return spec, nil
	}
	return nil, ErrUnknownPlugin
}

// Names are an Options.Plugins.
func (d *Descriptions) Names() []string {
	return slices.Sorted(maps.Keys(d.plugins))
}

// EncodeDescriptions writes what DescribeFile reads.
func EncodeDescriptions(plugins map[string]*PluginSpec) ([]byte, error) {
	file := describeFile{Plugins: make(map[string]describePlugin, len(plugins))}
	for name, spec := range plugins {
		p := describePlugin{With: spec.With, Outputs: []string{}}
		if len(p.With) == 0 {
			p.With = json.RawMessage("{}")
		}
		if spec.ReportsMetrics {
			metrics := append([]string{}, spec.Metrics...)
			p.Metrics = &metrics
		}
		for _, o := range spec.Outputs {
			p.Outputs = append(p.Outputs, o.Name)
			if o.Volatile {
				p.Volatile = append(p.Volatile, o.Name)
			}
			if o.Optional {
				p.Optional = append(p.Optional, o.Name)
			}
			if o.MediaType != "" {
				if p.Media == nil {
					p.Media = map[string]string{}
				}
				p.Media[o.Name] = o.MediaType
			}
		}
		file.Plugins[name] = p
	}
	out, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing descriptions: %w", err)
	}
	return append(out, '\n'), nil
}
