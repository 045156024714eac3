package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/so8t/so8t/state"
)

// digestPrefix stands before every digest that is a part of a fingerprint.
const digestPrefix = "sha256:"

// fingerprintVersion goes up when the same work would get another fingerprint.
const fingerprintVersion = "so8t fingerprint 1\n"

// identity is what a fingerprint was computed from.
type identity struct {
	// fingerprint is hex; "" while an input is pending.
	fingerprint string
	parts       []state.Part
	// from names the stage behind an input field.
	from map[string]string
	// waits are the instances whose outputs are pending.
	waits []string
	// missing are input fields whose path does not exist.
	missing []string
}

// contentDigest returns the hex digest of a file or folder of the user; false when there is none.
type contentDigest func(path string) (string, bool, error)

// identify computes what identifies the work of n: plugin, with, inputs, env and facts. The
// text of a path is never part of it, only what the path leads to.
func (n *node) identify(project string, find lookup, digest contentDigest, facts map[string]string) (identity, error) {
	b := &identityBuilder{project: project, find: find, digest: digest}
	b.from = map[string]string{}
	if err := b.plugin(n.plugin); err != nil {
		return identity{}, err
	}
	for _, l := range n.plugin.schema.leaves(n.with) {
		if err := b.leaf(l); err != nil {
			return identity{}, fmt.Errorf("field %q of stage %q: %w", l.field, n.instance, err)
		}
	}
	for prefix, texts := range map[string]map[string]string{"env.": n.env, "facts.": facts} {
		for _, name := range slices.Sorted(maps.Keys(texts)) {
			if err := b.add(prefix+name, texts[name]); err != nil {
				return identity{}, err
			}
		}
	}
	slices.SortStableFunc(b.parts, func(x, y state.Part) int { return compareFields(x.Field, y.Field) })
	if len(b.waits) == 0 {
		b.fingerprint = hashParts(b.parts)
	}
	return b.identity, nil
}

type identityBuilder struct {
	identity
	project string
	find    lookup
	digest  contentDigest
}

func (b *identityBuilder) add(field string, value any) error {
	text, err := canonical(value)
	if err != nil {
		return err
	}
	b.parts = append(b.parts, state.Part{Field: field, Value: text})
	return nil
}

func (b *identityBuilder) plugin(p *pluginInfo) error {
	if err := b.add("plugin.name", p.description.Name); err != nil {
		return err
	}
	if p.digest != "" {
		return b.add("plugin.files", digestPrefix+p.digest)
	}
	return b.add("plugin.revision", p.description.Revision)
}

func (b *identityBuilder) leaf(l leaf) error {
	switch v := l.value.(type) {
	case outputRef:
		text, ok := b.output(l.field, v)
		if !ok {
			return nil
		}
		return b.add("input."+l.field, text)
	case concat:
		return b.text(l.field, v)
	case string:
		if l.schema.Format == formatPath && v != "" {
			return b.path(l.field, absolute(b.project, v))
		}
	}
	return b.add("with."+l.field, l.value)
}

// output returns the digest of an output as text; false when it is pending or absent.
func (b *identityBuilder) output(field string, ref outputRef) (string, bool) {
	b.from["input."+field] = ref.instance
	up := b.find(ref)
	switch up.state {
	case pending:
		b.waits = append(b.waits, ref.instance)
		return "", false
	case absent:
		return "", false
	}
	return digestPrefix + up.digest, true
}

// text is a value with outputs inside: their digests take the place of their paths.
func (b *identityBuilder) text(field string, parts concat) error {
	var text strings.Builder
	for _, part := range parts {
		ref, isRef := part.(outputRef)
		if !isRef {
			s, _ := part.(string)
			text.WriteString(s)
			continue
		}
		digest, ok := b.output(field, ref)
		if !ok {
			return nil
		}
		text.WriteString(digest)
	}
	return b.add("input."+field, text.String())
}

func (b *identityBuilder) path(field, path string) error {
	digest, found, err := b.digest(path)
	if err != nil {
		return err
	}
	if !found {
		b.missing = append(b.missing, field)
		return b.add("input."+field, nil)
	}
	return b.add("input."+field, digestPrefix+digest)
}

// hashParts is the sha256 of the lines `field=value`; canonical JSON holds no newline.
func hashParts(parts []state.Part) string {
	h := sha256.New()
	io.WriteString(h, fingerprintVersion)
	for _, p := range parts {
		fmt.Fprintf(h, "%s=%s\n", p.Field, p.Value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// diff lists the parts that differ, in the order of their fields. What is pending now is not
// compared: it may turn out the same.
func (id identity) diff(old []state.Part) []Change {
	pendingField := map[string]bool{}
	if len(id.waits) > 0 {
		for field := range id.from {
			pendingField[field] = true
		}
		for _, p := range id.parts {
			delete(pendingField, p.Field)
		}
	}
	was := map[string]json.RawMessage{}
	for _, p := range old {
		was[p.Field] = p.Value
	}
	var changes []Change
	for _, p := range id.parts {
		from, known := was[p.Field]
		delete(was, p.Field)
		if !known || string(from) != string(p.Value) {
			changes = append(changes, Change{Field: p.Field, From: orNull(from), To: p.Value, Because: id.from[p.Field]})
		}
	}
	for field, from := range was {
		if !pendingField[field] {
			changes = append(changes, Change{Field: field, From: from, To: orNull(nil)})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return compareFields(a.Field, b.Field) })
	return changes
}

func orNull(v json.RawMessage) json.RawMessage {
	if len(v) == 0 {
		return json.RawMessage("null")
	}
	return v
}
