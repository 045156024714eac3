package data

import (
	"fmt"
	"math/rand/v2"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/dataset"
)

// generator draws requests for one seed; the order of the splits decides what is drawn.
type generator struct {
	alloc *allocation
	rng   *rand.Rand
	seen  map[string]bool // prompts that are taken
	owed  map[string]float64
}

func newGenerator(seed uint64) *generator {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 0x736f3874)), seen: map[string]bool{}, owed: map[string]float64{}} // "so8t"
	var held []string
	for _, t := range tripleRequests() {
		held = append(held, t.template())
		g.seen[t.text()] = true
	}
	g.alloc = newAllocation(seed, held)
	return g
}

// generate makes n unique rows of a split, the labels equally often in each domain. It
// gives up with an error when the grammar cannot say that many.
func (g *generator) generate(s split, n int) ([]generated, error) {
	rows := make([]generated, 0, n)
	for i := range n {
		label := dataset.Labels[i%len(dataset.Labels)]
		dom := i / len(dataset.Labels) % len(domains)
		r, ok := g.draw(s, label, dom)
		if !ok {
			return nil, plugins.Errorf(plugins.BadInput, "%s: the grammar gave %d unique rows, %d were asked for", splitNames[s], i, n)
		}
		rows = append(rows, generated{request: r})
	}
	g.rng.Shuffle(n, func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	for i := range rows {
		rows[i].row = row(fmt.Sprintf("%s-%05d", splitNames[s], i+1), rows[i].request)
	}
	return rows, nil
}

// generated is a row with the point of the grammar it comes from.
type generated struct {
	request request
	row     dataset.Row
}

func row(id string, r request) dataset.Row {
	label := r.label()
	return dataset.Row{
		ID: id,
		Messages: []chat.Message{
			{Role: "user", Content: r.text()},
			{Role: "assistant", Content: dataset.Target(label, r.reason())},
		},
		Label: label, Reason: r.reason(), Domain: domains[r.domain].name,
		Template: r.template(), Topic: r.topic(),
	}
}

// draw finds a request of a label and domain that belongs to the split and is new. Most
// tries fail on the split, so the limit is high; it is reached when the grammar runs dry.
func (g *generator) draw(s split, label string, dom int) (request, bool) {
	var f facts
	var bound, plain bool
	for try := range 20_000 {
		if try%1000 == 0 { // some ways to a label have no combination in a small split
			bound = g.share(splitNames[s]+label, bindingShare[label])
			plain = bound && g.share(splitNames[s]+label+" plain", plainShare[label])
			f = g.facts(label, bound)
		}
		r := g.request(f, bound, dom)
		if bound {
			r.binding = g.binding(f.nonPublic, plain)
		}
		if g.alloc.topicSplit(r) != s || g.alloc.templateSplit(r) != s {
			continue
		}
		if text := r.text(); !g.seen[text] {
			g.seen[text] = true
			return r, true
		}
	}
	return request{}, false
}

// bindingShare is how often a request of a label is a binding one: a quarter in all. ALLOW
// has fewer, because there a wrong connection is the costly mistake.
var bindingShare = map[string]float64{"ALLOW": 0.20, "ESCALATION": 0.27, "DENY": 0.27}

// share is true for a share p of the calls with one key, as evenly as can be: the mix of
// hard and easy rows is the same for every seed, and with it what a score means.
func (g *generator) share(key string, p float64) bool {
	g.owed[key] += p
	if g.owed[key] < 1 {
		return false
	}
	g.owed[key]--
	return true
}

func (g *generator) chance(p float64) bool { return g.rng.Float64() < p }

func pick[T any](g *generator, from []T) T { return from[g.rng.IntN(len(from))] }

// facts draws one of the ways to a label.
func (g *generator) facts(label string, bound bool) facts {
	missing := []approval{unsaid, unapproved, unapproved, unapproved}
	switch label {
	case "DENY":
		return g.denyFacts(bound)
	case "ESCALATION":
		return facts{act: true, approval: pick(g, missing)}
	}
	if g.chance(0.5) {
		return facts{act: true, approval: approved}
	}
	return facts{approval: pick(g, anyApproval)}
}

// denyFacts: a binding request that uses something non-public mostly acts without approval,
// so that whoever misses the connection says ESCALATION, which does less harm than ALLOW.
func (g *generator) denyFacts(bound bool) facts {
	f := facts{nonPublic: true, act: g.chance(0.6), approval: pick(g, anyApproval)}
	if bound {
		f.act = g.chance(0.85)
		if f.act && g.chance(0.75) {
			f.approval = unapproved
		}
	}
	return f
}

var anyApproval = []approval{unsaid, approved, approved, unapproved, unapproved}

func (g *generator) request(f facts, bound bool, dom int) request {
	d := domains[dom]
	r := request{
		facts: f, bound: bound, domain: dom,
		place: g.rng.IntN(len(d.places)), document: g.rng.IntN(len(d.documents)),
		word: g.rng.IntN(len(restricted)), openWord: g.rng.IntN(len(open)),
		part:      g.rng.IntN(len(parts)),
		openFirst: bound && g.chance(0.5),
	}
	r.other = (r.part + 1 + g.rng.IntN(len(parts)-1)) % len(parts)
	if f.act {
		r.verb = g.rng.IntN(len(acts))
	} else {
		r.verb = g.rng.IntN(len(explains))
	}
	if f.approval != unsaid {
		r.approvalForm = g.rng.IntN(len(approvedForms))
		r.approvalFirst = g.chance(0.5)
	}
	if f.nonPublic {
		r.form = g.rng.IntN(len(usedForms))
	} else {
		r.form = g.rng.IntN(len(unusedForms) + len(openForms))
	}
	return r
}

// plainShare is how often a binding request says "both" or "neither", which the words tell
// by themselves.
var plainShare = map[string]float64{"ALLOW": 0.3, "ESCALATION": 0.3, "DENY": 0.5}

// binding draws how a binding request says what it uses: plainly, or by naming one of the
// two parts.
func (g *generator) binding(nonPublic, plain bool) binding {
	from := publicBindings
	if nonPublic {
		from = nonPublicBindings
	}
	if plain {
		return from[2]
	}
	return from[g.rng.IntN(2)]
}

// tripleRequests are the points of the grammar at which dataset.TripleTests lie.
func tripleRequests() []request {
	return []request{
		{facts: facts{approval: unapproved}, domain: 2, word: 2, part: 2},
		{facts: facts{act: true, approval: unapproved}, domain: 2, place: 1, document: 1, word: 1, part: 1},
		{facts: facts{nonPublic: true, approval: approved}, part: 3, verb: 1},
	}
}
