package data

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// split names the four sets of rows.
type split int

const (
	train split = iota
	validation
	calibration
	test
	nowhere // held back: the combinations of dataset.TripleTests
)

var splitNames = []string{"train", "validation", "calibration", "test"}

// template names the combination of clauses of a request: everything but its topic and
// the nouns and words that fill it.
func (r request) template() string {
	kind := fmt.Sprintf("clause-%s%d", map[bool]string{true: "u", false: "n"}[r.nonPublic], r.form)
	if r.bound {
		kind = fmt.Sprintf("binding-%d%s", r.binding, map[bool]string{true: "o", false: "r"}[r.openFirst])
	}
	verb := map[bool]string{true: "a", false: "e"}[r.act]
	order := map[bool]string{true: "f", false: "l"}[r.approvalFirst]
	return fmt.Sprintf("%s-%s%d-%c%d%s", kind, verb, r.verb, "sau"[r.approval], r.approvalForm, order)
}

// allocation says which split each topic and each combination of clauses belongs to. They
// share neither, and every place, document and clause stands in train.
type allocation struct {
	seed   uint64
	topics [][][]split // domain, place, document
	held   map[string]bool
}

// shares of combinations, of 16.
var templateShares = [16]split{train, train, train, train, train, train, train, train, train,
	validation, calibration, calibration, test, test, test, test}

// documentShares is how one place's 8 documents are dealt out.
var documentShares = [8]split{train, train, train, train, validation, calibration, test, test}

func newAllocation(seed uint64, held []string) *allocation {
	a := &allocation{seed: seed, held: map[string]bool{}}
	for _, h := range held {
		a.held[h] = true
	}
	rng := rand.New(rand.NewPCG(seed, 0x746f706963)) // "topic"
	for _, d := range domains {
		// Rotating one order by 3 a place gives each document to several splits, and to
		// train at most places.
		order := rng.Perm(len(documentShares))
		shift := rng.Perm(len(d.places))
		places := make([][]split, len(d.places))
		for p := range d.places {
			places[p] = make([]split, len(d.documents))
			for j := range d.documents {
				places[p][j] = documentShares[(order[j]+3*shift[p])%len(documentShares)]
			}
		}
		a.topics = append(a.topics, places)
	}
	return a
}

// topicSplit of a request.
func (a *allocation) topicSplit(r request) split { return a.topics[r.domain][r.place][r.document] }

// templateSplit of a request, by a hash: there are thousands, and none needs to be listed.
func (a *allocation) templateSplit(r request) split {
	name := r.template()
	if a.held[name] {
		return nowhere
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s", a.seed, name)
	x := h.Sum64() * 0x9e3779b97f4a7c15 // FNV alone mixes the last bytes badly
	return templateShares[x>>60]
}
