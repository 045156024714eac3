package phi3

import (
	"encoding/json"
	"maps"
	"slices"
)

// rope reads the rotary settings: at the top level in transformers 4, folded into
// rope_parameters in transformers 5, or both (then they must agree).
func (d *configDecoder) rope(c *Config) {
	d.get("rope_theta", &c.RopeTheta)
	d.get("partial_rotary_factor", &c.PartialRotary)
	topOriginal := 0
	d.integer("original_max_position_embeddings", &topOriginal, false)
	c.OriginalMaxPositions = topOriginal
	if topOriginal == 0 {
		c.OriginalMaxPositions = c.MaxPositions
	}

	r := d.ropeObject()
	if r == nil {
		return
	}
	d.agree(r, "rope_theta", &c.RopeTheta)
	d.agree(r, "partial_rotary_factor", &c.PartialRotary)
	nested := 0
	if r.integer("original_max_position_embeddings", &nested, false) {
		c.OriginalMaxPositions = nested
	}
	if topOriginal != 0 && nested != 0 && nested != topOriginal {
		r.bad("original_max_position_embeddings is %d at the top level but %d in the rope settings", topOriginal, nested)
	}

	kind, second := "default", ""
	if !r.get("rope_type", &kind) {
		r.get("type", &kind)
	} else if r.get("type", &second) && ropeKind(second) != ropeKind(kind) {
		r.bad("rope_type is %q but type is %q", kind, second)
	}
	switch ropeKind(kind) {
	case "default":
	case "longrope":
		if topOriginal == 0 && nested == 0 {
			r.bad("original_max_position_embeddings is missing; longrope changes its factors there")
		}
		c.Rope = r.longRope(c)
	default:
		r.bad("rope scaling of type %q is not supported; only longrope or none", kind)
	}
	for _, key := range slices.Sorted(maps.Keys(r.keys)) {
		if !r.used[key] {
			r.bad("rope scaling has %q, which is not supported", key)
		}
	}
	d.problems = append(d.problems, r.problems...)
}

// ropeObject returns the nested settings, or nil.
func (d *configDecoder) ropeObject() *configDecoder {
	var scaling, parameters map[string]json.RawMessage
	hasScaling := d.get("rope_scaling", &scaling)
	hasParameters := d.get("rope_parameters", &parameters)
	switch {
	case hasScaling && hasParameters && !equalJSON(scaling, parameters):
		d.bad("rope_scaling and rope_parameters are both set and differ; keep one of them")
		return nil
	case hasParameters:
		return &configDecoder{keys: parameters, used: map[string]bool{}}
	case hasScaling:
		return &configDecoder{keys: scaling, used: map[string]bool{}}
	}
	return nil
}

func equalJSON(a, b map[string]json.RawMessage) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// agree reads a number that may stand at both levels; the nested one fills in for an
// absent one and must equal a present one.
func (d *configDecoder) agree(r *configDecoder, key string, value *float64) {
	nested := 0.0
	if !r.get(key, &nested) {
		return
	}
	_, top := d.keys[key]
	if top && string(d.keys[key]) != "null" && nested != *value {
		r.bad("%s is %v at the top level but %v in the rope settings", key, *value, nested)
	}
	*value = nested
}

// ropeKind maps the names that transformers treats as longrope for phi3.
func ropeKind(kind string) string {
	if kind == "su" || kind == "yarn" {
		return "longrope"
	}
	return kind
}

func (d *configDecoder) longRope(c *Config) *LongRope {
	l := &LongRope{}
	if !d.get("short_factor", &l.Short) {
		d.bad("rope scaling's short_factor is missing")
	}
	if !d.get("long_factor", &l.Long) {
		d.bad("rope scaling's long_factor is missing")
	}
	if !d.get("attention_factor", &l.AttentionFactor) && c.OriginalMaxPositions > 1 {
		l.AttentionFactor = DefaultAttentionFactor(c.MaxPositions, c.OriginalMaxPositions)
	}
	// factor is max/original in files that carry it; transformers ignores it when the
	// original length is known.
	d.used["factor"] = true
	return l
}
