package workflow

import (
	"maps"
	"math"
	"slices"

	"golang.org/x/text/unicode/norm"
)

// slot is a declared slot; count is 0 when its declaration has a problem.
type slot struct{ count int }

func (d *document) readConcurrency(p pair) {
	if p.value == nil {
		return
	}
	s := settings{d: d, allowed: inParams}
	d.workflow.Concurrency, _ = s.integer(s.value(p.value), "concurrency", 1, math.MaxInt32)
}

func (d *document) readSlots(p pair) {
	if p.value == nil || !d.mapping(p.value, "slots") {
		return
	}
	s := settings{d: d, allowed: inParams}
	for _, e := range d.entries(p.value) {
		name, ok := d.name(e.key, "slot")
		if !ok {
			continue
		}
		count, ok := s.integer(s.value(e.value), "slots."+name, 1, math.MaxInt32)
		d.slots[name] = slot{count}
		if ok {
			d.workflow.Slots = append(d.workflow.Slots, Slot{name, count})
		}
	}
}

// heldSlots reads the slots that an instance holds over those in r, name by name.
func (s settings) heldSlots(n *node, r *Resources) {
	if !s.d.mapping(n, "resources.slots") {
		return
	}
	held := slices.Clone(r.Slots)
	for _, e := range s.d.entries(n) {
		if e.key.broken {
			continue
		}
		name := norm.NFC.String(e.key.text)
		declared, ok := s.d.slots[name]
		if !ok {
			known := slices.Sorted(maps.Keys(s.d.slots))
			s.d.report.add(e.key.pos, CodeUnknownSlot, s.d.report.suggest(name, known), "no slot %q is declared", name)
			continue
		}
		v := s.value(e.value)
		count, ok := s.integer(v, "resources.slots."+name, 1, math.MaxInt32)
		if !ok || declared.count == 0 {
			continue
		}
		if count > declared.count {
			s.d.report.add(v.Pos, CodeOutOfRange, "", "%d of the slot %q, and there are %d", count, name, declared.count)
			continue
		}
		held = setSlot(held, Slot{name, count})
	}
	r.Slots = held
}

func setSlot(slots []Slot, s Slot) []Slot {
	for i := range slots {
		if slots[i].Name == s.Name {
			slots[i] = s
			return slots
		}
	}
	return append(slots, s)
}

// readSecrets declares the secrets of a file; one may be declared in several files.
func (d *document) readSecrets(p pair) {
	if p.value == nil || p.value.broken {
		return
	}
	here := map[string]bool{}
	for _, item := range p.value.list() {
		name, ok := d.plainText(item, "secrets")
		if !ok {
			continue
		}
		switch {
		case !isEnvName(name):
			d.report.add(item.pos, CodeBadName, "letters, digits and _, not first a digit", "%s is no name of an environment variable", shorten(name))
		case here[name]:
			d.report.add(item.pos, CodeDuplicateSecret, "", "the secret %q stands twice", name)
		default:
			here[name] = true
			if !d.secrets[name] {
				d.secrets[name] = true
				d.workflow.Secrets = append(d.workflow.Secrets, name)
			}
		}
	}
}

// list is the items of a list, or the value itself where one may stand for a list of one.
func (n *node) list() []*node {
	if n.kind == sequenceNode {
		return n.items
	}
	return []*node{n}
}

// stageSecrets reads the secrets that a stage receives.
func (d *document) stageSecrets(n *node) []string {
	if n.broken {
		return nil
	}
	var out []string
	for _, item := range n.list() {
		name, ok := d.plainText(item, "secrets")
		switch {
		case !ok:
		case !d.secrets[name]:
			d.unknownSecret(name, item.pos)
		case contains(out, name):
			d.report.add(item.pos, CodeDuplicateSecret, "", "the secret %q stands twice", name)
		default:
			out = append(out, name)
		}
	}
	return out
}

func (d *document) unknownSecret(name string, at Pos) {
	if !d.partial {
		d.report.add(at, CodeUnknownSecret, d.report.suggest(name, d.workflow.Secrets), "no secret %q is declared", name)
	}
}

func (d *document) secretValue(name string, at Pos) *Value {
	if !d.secrets[name] {
		d.unknownSecret(name, at)
		return &Value{Kind: broken, Pos: at}
	}
	return &Value{Kind: Secret, Pos: at, Text: name}
}
