package workflow

import (
	"errors"
	"math"
	"time"
)

// settings reads the values that `defaults` and stages share.
type settings struct {
	d       *document
	scope   scope
	allowed namespaces
}

func (s settings) value(n *node) *Value {
	return s.d.value(n, s.scope, s.allowed)
}

func (s settings) wrong(v *Value, what, want, hint string) {
	if v.Kind != broken {
		s.d.report.add(v.Pos, CodeWrongType, hint, "%s wants %s, not %s", what, want, v.what())
	}
}

// integer reads an int from lo to hi; a float without fraction is one.
func (s settings) integer(v *Value, what string, lo, hi int64) (int, bool) {
	n, ok := v.integral()
	if !ok {
		s.wrong(v, what, "an int", "")
		return 0, false
	}
	switch {
	case n >= lo && n <= hi:
		return int(n), true
	case hi == math.MaxInt32:
		s.d.report.add(v.Pos, CodeOutOfRange, "", "%s must be %d or more, not %d", what, lo, n)
	default:
		s.d.report.add(v.Pos, CodeOutOfRange, "", "%s must be from %d to %d, not %d", what, lo, hi, n)
	}
	return 0, false
}

func (v *Value) integral() (int64, bool) {
	switch {
	case v.Kind == Int:
		return v.Int, true
	case v.Kind == Float && v.Float == math.Trunc(v.Float) && math.Abs(v.Float) <= 1<<53:
		return int64(v.Float), true
	}
	return 0, false
}

func (s settings) boolean(v *Value, what string) (bool, bool) {
	if v.Kind != Bool {
		s.wrong(v, what, "a bool", boolHint)
		return false, false
	}
	return v.Bool, true
}

const boolHint = "write true or false"

func (s settings) duration(v *Value, what string) (time.Duration, bool) {
	if !s.unit(v, what, CodeBadDuration, "s", durationHelp) {
		return 0, false
	}
	out, err := ParseDuration(v.Text)
	return out, s.unitError(v, what, CodeBadDuration, durationHelp, err)
}

func (s settings) size(v *Value, what string) (int64, bool) {
	if !s.unit(v, what, CodeBadSize, "MB", sizeHelp) {
		return 0, false
	}
	out, err := ParseSize(v.Text)
	return out, s.unitError(v, what, CodeBadSize, sizeHelp, err)
}

// unit tells whether v is a text; a bare number asks for its unit.
func (s settings) unit(v *Value, what, code, example, help string) bool {
	switch v.Kind {
	case Text:
		return true
	case Int, Float:
		s.d.report.add(v.Pos, code, "write the unit, as in "+v.shown()+example, "%s: %s has no unit; it wants %s", what, v.shown(), help)
	default:
		s.wrong(v, what, help, "")
	}
	return false
}

func (v *Value) shown() string {
	if v.source != "" {
		return v.source
	}
	return v.asText()
}

func (s settings) unitError(v *Value, what, code, help string, err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, errTooLarge):
		s.d.report.add(v.Pos, CodeOutOfRange, "", "%s: %s is too large", what, v.Text)
	default:
		s.d.report.add(v.Pos, code, "", "%s: %s is not %s", what, shorten(v.Text), help)
	}
	return false
}

// timeout reads a duration over zero.
func (s settings) timeout(v *Value) (time.Duration, bool) {
	d, ok := s.duration(v, "timeout")
	if ok && d == 0 {
		s.d.report.add(v.Pos, CodeOutOfRange, "leave it out for no limit", "a timeout of zero")
		return 0, false
	}
	return d, ok
}

const maxRetries = 100

// retry reads n over what r holds, key by key.
func (s settings) retry(n *node, key *node, r *Retry) {
	if n.broken {
		return
	}
	if n.kind != mappingNode {
		s.retryShort(s.value(n), r)
		return
	}
	f := s.d.fields(n, retryKeys, key.pos, "retry")
	if p, ok := f["max"]; ok {
		if max, ok := s.integer(s.value(p.value), "retry.max", 0, maxRetries); ok {
			r.Max = &max
		}
	}
	if p, ok := f["backoff"]; ok {
		if b, ok := s.duration(s.value(p.value), "retry.backoff"); ok {
			r.Backoff = &b
		}
	}
	if p, ok := f["max_backoff"]; ok {
		if b, ok := s.duration(s.value(p.value), "retry.max_backoff"); ok {
			r.MaxBackoff = &b
		}
	}
	if p, ok := f["factor"]; ok {
		s.retryFactor(s.value(p.value), r)
	}
	if p, ok := f["jitter"]; ok {
		if j, ok := s.boolean(s.value(p.value), "retry.jitter"); ok {
			r.Jitter = &j
		}
	}
	if p, ok := f["on"]; ok {
		s.retryOn(s.value(p.value), r)
	}
}

// retryShort reads `retry: 3`.
func (s settings) retryShort(v *Value, r *Retry) {
	if _, ok := v.integral(); !ok {
		s.wrong(v, "retry", "a mapping or an int (how often to try again)", "")
		return
	}
	if max, ok := s.integer(v, "retry", 0, maxRetries); ok {
		r.Max = &max
	}
}

func (s settings) retryFactor(v *Value, r *Retry) {
	f := v.Float
	switch v.Kind {
	case Int:
		f = float64(v.Int)
	case Float:
	default:
		s.wrong(v, "retry.factor", "a number (float)", "")
		return
	}
	if f < 1 {
		s.d.report.add(v.Pos, CodeOutOfRange, "", "retry.factor must be 1 or more, not %s", v.asText())
		return
	}
	r.Factor = &f
}

func (s settings) retryOn(v *Value, r *Retry) {
	if v.Kind != List {
		s.wrong(v, "retry.on", "a list of error codes", "")
		return
	}
	on := []string{}
	seen := map[string]bool{}
	for _, item := range v.Items {
		switch {
		case item.Kind != Text:
			s.wrong(item, "retry.on", "error codes (string)", "")
		case !contains(errorCodes, item.Text):
			s.d.report.add(item.Pos, CodeBadEnum, s.d.report.suggest(item.Text, errorCodes), "no error code %s", shorten(item.Text))
		case seen[item.Text]:
			s.d.report.add(item.Pos, CodeDuplicateValue, "", "the error code %q stands twice", item.Text)
		default:
			seen[item.Text] = true
			on = append(on, item.Text)
		}
	}
	r.On = on
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// resources reads n over what r holds, key by key.
func (s settings) resources(n *node, key *node, r *Resources) {
	f := s.d.fields(n, resourceKeys, key.pos, "resources")
	if p, ok := f["gpu"]; ok {
		if g, ok := s.integer(s.value(p.value), "resources.gpu", 0, math.MaxInt32); ok {
			r.GPU = &g
		}
	}
	if p, ok := f["cpu"]; ok {
		if c, ok := s.integer(s.value(p.value), "resources.cpu", 1, math.MaxInt32); ok {
			r.CPU = &c
		}
	}
	if p, ok := f["memory"]; ok {
		if m, ok := s.size(s.value(p.value), "resources.memory"); ok {
			r.Memory = &m
		}
	}
	if p, ok := f["disk"]; ok {
		if m, ok := s.size(s.value(p.value), "resources.disk"); ok {
			r.Disk = &m
		}
	}
	if p, ok := f["slots"]; ok {
		s.heldSlots(p.value, r)
	}
}

// env reads n over the variables in base, name by name.
func (s settings) env(n *node, base []EnvVar) []EnvVar {
	if !s.d.mapping(n, "env") {
		return base
	}
	out := append([]EnvVar(nil), base...)
	for _, p := range s.d.entries(n) {
		if p.key.broken {
			continue
		}
		if !isEnvName(p.key.text) {
			s.d.report.add(p.key.pos, CodeBadName, "letters, digits and _, not first a digit", "%s is no name of an environment variable", shorten(p.key.text))
			continue
		}
		v := s.value(p.value)
		switch v.Kind {
		case broken:
			continue
		case List, Map:
			s.wrong(v, p.key.text, "a text", "")
			continue
		case Bool, Int, Float, Null:
			v = &Value{Kind: Text, Pos: v.Pos, Text: envText(v)}
		}
		out = setEnv(out, EnvVar{p.key.text, v})
	}
	return out
}

// envText is a scalar as it was written; what a parameter puts in is written the canonical way.
func envText(v *Value) string {
	switch {
	case v.Kind == Null:
		return ""
	case v.typed == "" && v.source != "":
		return v.source
	}
	return v.asText()
}

func setEnv(vars []EnvVar, v EnvVar) []EnvVar {
	for i := range vars {
		if vars[i].Name == v.Name {
			vars[i] = v
			return vars
		}
	}
	return append(vars, v)
}

func isEnvName(s string) bool {
	for i, c := range s {
		letter := c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
