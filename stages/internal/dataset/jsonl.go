package dataset

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

func (im *importer) jsonl(raw []byte) error {
	if first, _, _ := bytes.Cut(raw, []byte{'\n'}); bytes.HasPrefix(bytes.TrimSpace(raw), []byte{'['}) && !json.Valid(first) {
		return im.fail(NotJSONL, "the file is one JSON array over several lines; JSONL has one object a line")
	}
	for line := 1; len(raw) > 0; line++ {
		var text []byte
		text, raw, _ = bytes.Cut(raw, []byte{'\n'})
		if blank(text) {
			im.out.BlankLines++
			continue
		}
		r, p := im.jsonRow(text)
		if p != nil {
			im.reject(line, p)
			continue
		}
		r.Line = line
		im.out.Rows = append(im.out.Rows, *r)
	}
	return nil
}

func (im *importer) jsonRow(text []byte) (*Imported, *problem) {
	if !utf8.Valid(text) {
		return nil, wrong(InvalidUTF8, "the line is not UTF-8")
	}
	var value json.RawMessage
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, wrong(BadJSON, "no JSON object on one line: %v", err)
	}
	var fields map[string]json.RawMessage
	if value[0] != '{' {
		return nil, wrong(NotObject, "the line is JSON but no object")
	}
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, wrong(BadJSON, "%v", err)
	}
	d := &draft{fields: fields}
	if p := d.fill(); p != nil {
		return nil, p
	}
	return d.canonical(im.options)
}

// draft is a row on its way into canonical form.
type draft struct {
	fields map[string]json.RawMessage
	format string
	turns  []turn
	labels []string // as written, of every field that has one
	reason string
	domain string
	group  string // template_id
}

type turn struct{ role, text string }

// fill finds the format and reads the fields; it does not judge their content.
func (d *draft) fill() *problem {
	var p *problem
	switch {
	case d.has("messages"):
		d.format = "chat"
		p = d.conversation("messages", "role", "content")
	case d.has("conversations"):
		d.format = "sharegpt"
		p = d.conversation("conversations", "from", "value")
	case d.has("query") && d.has("response"):
		d.format = "so8t-b"
		p = d.pair("query", "", "response")
	case d.has("instruction"):
		d.format = "alpaca"
		if d.has("judgment") || d.has("domain") || d.has("template_type") {
			d.format = "so8t"
		}
		p = d.pair("instruction", "input", "output")
	case d.has("text") && d.has("label"):
		d.format = "text"
		p = d.pair("text", "", "")
	default:
		return wrong(UnknownFormat, "the keys are those of no known format: messages, conversations, query and response, instruction and output, or text and label")
	}
	if p != nil {
		return p
	}
	return d.extras()
}

func (d *draft) has(key string) bool { _, ok := d.fields[key]; return ok }

// str reads a string field; "" and false when it is absent or null.
func (d *draft) str(key string) (string, bool, *problem) {
	raw, ok := d.fields[key]
	if !ok || string(raw) == "null" {
		return "", false, nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", false, wrong(WrongType, "%s is no string", key)
	}
	return s, true, nil
}

func (d *draft) required(key string) (string, *problem) {
	s, ok, p := d.str(key)
	if p == nil && !ok {
		p = wrong(MissingField, "%s is missing", key)
	}
	return s, p
}

// pair reads a question and an answer; input is joined to the question by a line feed. A
// format whose answer is only a label has no output.
func (d *draft) pair(question, input, output string) *problem {
	q, p := d.required(question)
	if p != nil {
		return p
	}
	if input != "" {
		more, _, p := d.str(input)
		if p != nil {
			return p
		}
		if trim(more) != "" {
			q += "\n" + more
		}
	}
	d.turns = []turn{{"user", q}}
	if output == "" {
		return nil
	}
	a, p := d.required(output)
	d.turns = append(d.turns, turn{"assistant", a})
	return p
}

var roleNames = map[string]string{"system": "system", "user": "user", "assistant": "assistant"}

var shareNames = map[string]string{"system": "system", "human": "user", "user": "user",
	"gpt": "assistant", "assistant": "assistant", "model": "assistant"}

func (d *draft) conversation(list, role, content string) *problem {
	if string(d.fields[list]) == "null" {
		return wrong(MissingField, "%s is missing", list)
	}
	var turns []map[string]json.RawMessage
	if err := json.Unmarshal(d.fields[list], &turns); err != nil {
		return wrong(WrongType, "%s is no list of objects", list)
	}
	names := roleNames
	if list == "conversations" {
		names = shareNames
	}
	for _, t := range turns {
		m := &draft{fields: t}
		r, p := m.required(role)
		if p != nil {
			return p
		}
		text, p := m.required(content)
		if p != nil {
			return p
		}
		name := names[r]
		if name == "" {
			name = "?" + r // judged after the texts
		}
		d.turns = append(d.turns, turn{name, text})
	}
	return nil
}

// extras reads what stands beside the texts, in any format.
func (d *draft) extras() *problem {
	for _, key := range []string{"judgment", "label", "decision"} {
		s, ok, p := d.str(key)
		if p != nil {
			return p
		}
		if ok {
			d.labels = append(d.labels, s)
		}
	}
	for _, f := range []struct {
		key string
		to  *string
	}{{"reasoning", &d.reason}, {"reason", &d.reason}, {"domain", &d.domain}, {"template_id", &d.group}} {
		s, ok, p := d.str(f.key)
		if p != nil {
			return p
		}
		if ok {
			*f.to = s
		}
	}
	return nil
}
