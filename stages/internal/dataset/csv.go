package dataset

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// csvColumns are the names a header may use for each field.
var csvColumns = map[string]string{
	"instruction": "instruction", "指示": "instruction", "質問": "instruction",
	"input": "input", "入力": "input",
	"output": "output", "出力": "output", "回答": "output",
	"domain": "domain", "分野": "domain",
	"judgment": "judgment", "判定": "judgment", "ラベル": "judgment",
	"reason": "reason", "理由": "reason",
	"template_id": "template_id",
}

func (im *importer) csv(raw []byte) error {
	p := &csvReader{rest: raw, line: 1}
	header, _, ok := p.next()
	for ok && isBlank(header) {
		im.out.BlankLines++
		header, _, ok = p.next()
	}
	if !ok {
		return nil
	}
	names := make([]string, len(header))
	found := map[string]bool{}
	for i, h := range header {
		names[i] = csvColumns[trim(h)]
		found[names[i]] = true
	}
	if !found["instruction"] || !found["output"] {
		return im.fail(UnknownFormat, "the header names no columns instruction and output (or 指示/質問 and 出力/回答)")
	}
	for {
		record, start, ok := p.next()
		if !ok {
			return nil
		}
		if isBlank(record) {
			im.out.BlankLines++
			continue
		}
		r, problem := im.csvRow(p, names, record)
		if problem != nil {
			im.reject(start, problem)
			continue
		}
		r.Line = start
		im.out.Rows = append(im.out.Rows, *r)
	}
}

func isBlank(record []string) bool { return len(record) == 1 && trim(record[0]) == "" }

func (im *importer) csvRow(p *csvReader, names, record []string) (*Imported, *problem) {
	switch {
	case p.err != "":
		return nil, wrong(BadCSV, "%s", p.err)
	case len(record) != len(names):
		return nil, wrong(BadCSV, "%d fields, the header has %d", len(record), len(names))
	}
	d := &draft{format: "csv", fields: map[string]json.RawMessage{}}
	for i, name := range names {
		if !utf8.ValidString(record[i]) {
			return nil, wrong(InvalidUTF8, "the record is not UTF-8")
		}
		if name == "" || name == "judgment" && trim(record[i]) == "" {
			continue // another column, or an empty cell: no label
		}
		text, err := json.Marshal(record[i])
		if err != nil {
			return nil, wrong(BadCSV, "%v", err)
		}
		d.fields[name] = text
	}
	if problem := d.pair("instruction", "input", "output"); problem != nil {
		return nil, problem
	}
	if problem := d.extras(); problem != nil {
		return nil, problem
	}
	return d.canonical(im.options)
}

// csvReader reads RFC 4180 records and knows the line each starts on; encoding/csv does
// not say it for a record that a quote never closed.
type csvReader struct {
	rest []byte
	line int
	err  string // what is wrong with the last record
}

func (p *csvReader) next() (record []string, start int, ok bool) {
	if len(p.rest) == 0 {
		return nil, p.line, false
	}
	start, p.err = p.line, ""
	for {
		field, more := p.field()
		record = append(record, field)
		if !more {
			return record, start, true
		}
	}
}

// field reads one field and what ends it; more tells that another follows.
func (p *csvReader) field() (text string, more bool) {
	if len(p.rest) > 0 && p.rest[0] == '"' {
		text = p.quoted()
	}
	i := bytes.IndexAny(p.rest, ",\n")
	if i < 0 {
		text += strings.TrimSuffix(string(p.rest), "\r")
		p.rest = nil
		return text, false
	}
	text += string(p.rest[:i])
	more = p.rest[i] == ','
	p.rest = p.rest[i+1:]
	if !more {
		p.line++
		text = strings.TrimSuffix(text, "\r")
	}
	return text, more
}

// quoted reads a field in quotes; two quotes inside are one.
func (p *csvReader) quoted() string {
	var sb strings.Builder
	p.rest = p.rest[1:]
	for {
		i := bytes.IndexByte(p.rest, '"')
		if i < 0 {
			p.err = "a quote is never closed"
			sb.Write(p.rest)
			p.line += bytes.Count(p.rest, []byte{'\n'})
			p.rest = nil
			return sb.String()
		}
		sb.Write(p.rest[:i])
		p.line += bytes.Count(p.rest[:i], []byte{'\n'})
		p.rest = p.rest[i+1:]
		if len(p.rest) == 0 || p.rest[0] != '"' {
			return sb.String()
		}
		sb.WriteByte('"')
		p.rest = p.rest[1:]
	}
}
