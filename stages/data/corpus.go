package data

import (
	"math/rand/v2"

	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/dataset"
)

// The corpus is what a base model is pre-trained on: JSONL of documents, each a text or a
// conversation. It teaches the language of the train prompts, the chat format, and to read
// the facts off a prompt, but never a prompt's judgement: an untouched base judges by chance.

// document is a line of the corpus; one of the two is set.
type document struct {
	Text     string         `json:"text,omitempty"`
	Messages []chat.Message `json:"messages,omitempty"`
}

// grammarCorpus holds each train prompt with questions and answers on its facts, sentences
// on the train topics, and the label sentences.
func grammarCorpus(rows []generated, seed uint64) []document {
	rng := rand.New(rand.NewPCG(seed, 0x636f72707573)) // "corpus"
	docs := labelDocuments()
	topics := map[string]bool{}
	for _, r := range rows {
		docs = append(docs, document{Messages: r.request.dialogue(rng)})
		if t := r.request.topic(); !topics[t] {
			topics[t] = true
			d := domains[r.request.domain]
			docs = append(docs, document{
				Text: d.places[r.request.place] + "には" + d.documents[r.request.document] + "があります。" + t + "について述べます。"})
		}
	}
	rng.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
	return docs
}

// textCorpus is the corpus of a user's rows: their prompts, and the answers of rows
// without a judgement, which have nothing to give away.
func textCorpus(rows []dataset.Row, seed uint64) []document {
	rng := rand.New(rand.NewPCG(seed, 0x636f72707573))
	docs := labelDocuments()
	for _, r := range rows {
		m := r.Messages
		if r.Label != "" {
			m = r.Prompt()
		}
		docs = append(docs, document{Messages: m})
	}
	rng.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
	return docs
}

// labelRepeats is how often each label sentence stands in the corpus: enough for the words
// to become tokens with trained embeddings.
const labelRepeats = 20

// labelDocuments name the labels, each as often as the others at each place, in sentences
// that belong to no prompt.
func labelDocuments() []document {
	var docs []document
	l := dataset.Labels
	for range labelRepeats {
		for i := range l {
			a, b, c := l[i], l[(i+1)%3], l[(i+2)%3]
			docs = append(docs,
				document{Messages: []chat.Message{
					{Role: "user", Content: "判定の語を一つ書いてください。"},
					{Role: "assistant", Content: dataset.Target(a, "例の文のため。")},
				}},
				document{Text: "判定の語は " + a + " と " + b + " と " + c + " の三つです。"},
				document{Text: "判定の語は " + c + " と " + b + " と " + a + " の三つです。"})
		}
	}
	return docs
}

// dialogue asks for the facts of a request, one after the other, in any order.
func (r request) dialogue(rng *rand.Rand) []chat.Message {
	qs := r.questions()
	rng.Shuffle(len(qs), func(i, j int) { qs[i], qs[j] = qs[j], qs[i] })
	var turns []chat.Message
	for i, q := range qs {
		text, answer := "問: "+q.text, "いいえ。"
		if i == 0 {
			text = r.text() + "\n" + text
		}
		if q.yes {
			answer = "はい。"
		}
		turns = append(turns, chat.Message{Role: "user", Content: text}, chat.Message{Role: "assistant", Content: answer})
	}
	return turns
}

type question struct {
	text string
	yes  bool
}

// questions are questions on a request's facts, with answers.
func (r request) questions() []question {
	qs := []question{
		{"非公開のものを使いますか。", r.nonPublic},
		{"実行しますか。", r.act},
		{"承認はありますか。", r.approval == approved},
	}
	if !r.bound {
		return qs
	}
	x, y := parts[r.part], parts[r.other]
	return append(qs,
		question{x + "は公開ですか。", false}, question{y + "は公開ですか。", true},
		question{x + "を使いますか。", r.uses(r.nonPublic)}, question{y + "を使いますか。", r.uses(!r.nonPublic)})
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
