package engine

import (
	"encoding/json"
	"path/filepath"
	"strings"
)

// upstream is what is known of one output of another stage.
type upstream struct {
	state upstreamState
	// path is absolute, digest hex; both only when ready.
	path   string
	digest string
}

type upstreamState int

const (
	// pending: the stage that makes it has yet to run.
	pending upstreamState = iota
	ready
	// absent: its stage was skipped, or did not make this optional output.
	absent
)

// lookup finds an output of another stage.
type lookup func(outputRef) upstream

// resolved is a with in which every output has its place.
type resolved struct {
	with map[string]any // paths absolute, absent fields left out, pending ones ""
	// pending fields, dotted, and the stages they wait for.
	pending []pendingField
}

type pendingField struct {
	field    string
	instance string
}

// resolver turns a node's with into what its plugin gets.
type resolver struct {
	project string
	find    lookup
	pending []pendingField
}

func (n *node) resolve(project string, find lookup) resolved {
	r := &resolver{project: project, find: find}
	with, _ := r.value(n.plugin.schema, "", n.with)
	object, _ := with.(map[string]any)
	return resolved{with: object, pending: r.pending}
}

// value resolves one value; false means that it is absent.
func (r *resolver) value(s *withSchema, field string, v any) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, child := range v {
			if c, ok := r.value(s.field(name), joinField(field, name), child); ok {
				out[name] = c
			}
		}
		return out, true
	case []any:
		out := make([]any, 0, len(v))
		for _, child := range v {
			// The element's place is where it ends up, not where it was written.
			if c, ok := r.value(s.element(), joinField(field, itoa(len(out))), child); ok {
				out = append(out, c)
			}
		}
		return out, true
	case outputRef:
		return r.output(field, v)
	case concat:
		return r.text(field, v)
	case string:
		if s.Format == formatPath && v != "" {
			return absolute(r.project, v), true
		}
	}
	return v, true
}

func (r *resolver) output(field string, ref outputRef) (any, bool) {
	up := r.find(ref)
	switch up.state {
	case pending:
		r.pending = append(r.pending, pendingField{field, ref.instance})
		return "", true
	case absent:
		return nil, false
	}
	return up.path, true
}

func (r *resolver) text(field string, parts concat) (any, bool) {
	var b strings.Builder
	for _, part := range parts {
		ref, isRef := part.(outputRef)
		if !isRef {
			text, _ := part.(string)
			b.WriteString(text)
			continue
		}
		path, ok := r.output(field, ref)
		if !ok {
			return nil, false
		}
		text, _ := path.(string)
		b.WriteString(text)
	}
	return b.String(), true
}

// absolute makes a path of the workflow absolute; they are written with slashes.
func absolute(project, path string) string {
	path = filepath.FromSlash(path)
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(project, path)
}

// json writes the with for a plugin.
func (r resolved) json() (json.RawMessage, error) { return canonical(r.with) }

// fields lists the pending fields for a check.
func (r resolved) fields() []string {
	var out []string
	for _, p := range r.pending {
		out = append(out, p.field)
	}
	return out
}
