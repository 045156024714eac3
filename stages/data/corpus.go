package data

import (
	"math/rand/v2"
	"strings"

	"github.com/so8t/so8t/stages/internal/dataset"
)

// The corpus is what a base model is pre-trained on: documents parted by an empty line. It
// teaches the language of the train prompts and to read the facts off them, but never a
// prompt's judgement: an untouched base judges by chance.

// grammarCorpus holds each train prompt with questions and answers on its facts, sentences
// on the train topics, and the label sentences.
func grammarCorpus(rows []generated, seed uint64) string {
	docs := labelDocuments()
	topics := map[string]bool{}
	for _, r := range rows {
		docs = append(docs, r.row.PromptText()+"\n"+strings.Join(r.request.questions(), "\n"))
		if t := r.request.topic(); !topics[t] {
			topics[t] = true
			d := domains[r.request.domain]
			docs = append(docs, d.places[r.request.place]+"には"+d.documents[r.request.document]+"があります。"+t+"について述べます。")
		}
	}
	return join(docs, seed)
}

// textCorpus is the corpus of a user's rows: their texts.
func textCorpus(rows []dataset.Row, seed uint64) string {
	docs := labelDocuments()
	for _, r := range rows {
		text := r.PromptText()
		if r.Label == "" { // nothing to hide in a row without judgement
			text += "\n" + r.Messages[len(r.Messages)-1].Content
		}
		// An empty line inside would part the document.
		docs = append(docs, strings.Join(strings.FieldsFunc(text, func(c rune) bool { return c == '\n' }), "\n"))
	}
	return join(docs, seed)
}

func join(docs []string, seed uint64) string {
	rng := rand.New(rand.NewPCG(seed, 0x636f72707573)) // "corpus"
	rng.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
	return strings.Join(docs, "\n\n") + "\n"
}

// labelRepeats is how often each label sentence stands in the corpus: enough for the words
// to become tokens with trained embeddings.
const labelRepeats = 20

// labelDocuments name the labels, each as often as the others at each place, in sentences
// that belong to no prompt.
func labelDocuments() []string {
	var docs []string
	l := dataset.Labels
	for range labelRepeats {
		for i := range l {
			a, b, c := l[i], l[(i+1)%3], l[(i+2)%3]
			docs = append(docs,
				dataset.Target(a, "例の文のため。"),
				"判定の語は "+a+" と "+b+" と "+c+" の三つです。",
				"判定の語は "+c+" と "+b+" と "+a+" の三つです。")
		}
	}
	return docs
}

// questions are questions on a request's facts, with answers.
func (r request) questions() []string {
	qs := []string{
		ask("非公開のものを使いますか。", r.nonPublic),
		ask("実行しますか。", r.act),
		ask("承認はありますか。", r.approval == approved),
	}
	if !r.bound {
		return qs
	}
	x, y := parts[r.part], parts[r.other]
	return append([]string{
		ask(x+"は公開ですか。", false), ask(y+"は公開ですか。", true),
		ask(x+"を使いますか。", r.uses(r.nonPublic)), ask(y+"を使いますか。", r.uses(!r.nonPublic)),
	}, qs...)
}

// uses tells whether a part of a binding request is used: both, neither, or only the one
// that is singled out.
func (r request) uses(single bool) bool {
	switch r.binding {
	case both:
		return true
	case neither:
		return false
	}
	return single
}

func ask(question string, yes bool) string {
	if yes {
		return "問: " + question + "答: はい。"
	}
	return "問: " + question + "答: いいえ。"
}
