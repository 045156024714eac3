package chat

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// The part of Jinja that chat templates are written in: text, {{ values }}, if, for and set. What is
// not understood is an error, which refuses the template; what is understood means what it means to
// transformers, whose environment has trim_blocks and lstrip_blocks.

// piece is text, or a tag's kind and content.
type piece struct {
	kind byte // 't' text, '{' a value, '%' a statement
	text string
}

var tag = regexp.MustCompile(`(?s)\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}`)

// cut parts a template at its tags and takes away the white space that Jinja does.
func cut(template string) (out []piece) {
	const white = " \t\r\n"
	end, trim, lineStart := 0, false, true
	for _, at := range tag.FindAllStringIndex(template, -1) {
		text := template[end:at[0]]
		kind, body := template[at[0]+1], template[at[0]+2:at[1]-2]
		end = at[1]
		if trim {
			text = strings.TrimLeft(text, white)
		}
		block := kind != '{'
		if b, ok := strings.CutPrefix(body, "-"); ok {
			body, text = b, strings.TrimRight(text, white)
		} else if cut := strings.TrimRight(text, " \t"); block && (cut == "" && lineStart || strings.HasSuffix(cut, "\n")) {
			text = cut // lstrip_blocks
		}
		body, trim = strings.CutSuffix(body, "-")
		if text != "" {
			out = append(out, piece{'t', text})
		}
		if kind != '#' {
			out = append(out, piece{kind, body})
		}
		lineStart = false
		if block && strings.HasPrefix(template[end:], "\n") {
			end++ // trim_blocks
			lineStart = true
		}
	}
	text := template[end:]
	if trim {
		text = strings.TrimLeft(text, white)
	}
	return append(out, piece{'t', strings.TrimSuffix(text, "\n")}) // keep_trailing_newline is off
}

// statement writes its part of the output.
type statement func(v *scope, out *strings.Builder) error

// parser reads the pieces of one template.
type parser struct {
	pieces []piece
	at     int
}

// parseJinja returns what renders the template.
func parseJinja(template string) (statement, error) {
	if len(template) > maxTemplate {
		return nil, fmt.Errorf("%d bytes are no chat template", len(template))
	}
	p := &parser{pieces: cut(template)}
	all, end, err := p.block()
	if err == nil && end != "" {
		err = fmt.Errorf("%q without a beginning", end)
	}
	return all, err
}

// block reads statements up to one that ends it, whose words it returns; "" at the template's end.
func (p *parser) block() (all statement, end string, err error) {
	var list []statement
	all = func(v *scope, out *strings.Builder) error {
		for _, s := range list {
			if err := s(v, out); err != nil {
				return err
			}
		}
		return nil
	}
	for p.at < len(p.pieces) {
		piece := p.pieces[p.at]
		p.at++
		s, end, err := p.statement(piece)
		if err != nil || end != "" {
			return all, end, err
		}
		list = append(list, s)
	}
	return all, "", nil
}

// statement reads one; end is that of a block.
func (p *parser) statement(of piece) (s statement, end string, err error) {
	switch of.kind {
	case 't':
		return func(_ *scope, out *strings.Builder) error { return emit(of.text, out) }, "", nil
	case '{':
		e, err := parseExpression(of.text)
		return func(v *scope, out *strings.Builder) error { return write(e, v, out) }, "", err
	}
	word, rest := firstWord(of.text)
	switch word {
	case "if":
		s, err = p.branches(rest)
	case "for":
		s, err = p.loop(rest)
	case "set":
		s, err = assignment(rest)
	case "elif", "else", "endif", "endfor":
		return nil, strings.TrimSpace(of.text), nil
	default:
		err = fmt.Errorf("the statement %q is not supported", word)
	}
	return s, "", err
}

func write(e expression, v *scope, out *strings.Builder) error {
	x, err := e(v)
	if err != nil {
		return err
	}
	text, err := printed(x)
	if err != nil {
		return err
	}
	return emit(text, out)
}

func emit(text string, out *strings.Builder) error {
	if out.Len()+len(text) > maxText {
		return errors.New("it writes without end")
	}
	out.WriteString(text)
	return nil
}

// branches reads an if and all that belongs to it.
func (p *parser) branches(condition string) (statement, error) {
	test, err := parseCondition(condition)
	if err != nil {
		return nil, err
	}
	then, end, err := p.block()
	if err != nil {
		return nil, err
	}
	otherwise := func(*scope, *strings.Builder) error { return nil }
	word, rest := firstWord(end)
	switch word {
	case "elif":
		if otherwise, err = p.branches(rest); err != nil {
			return nil, err
		}
	case "else":
		if otherwise, end, err = p.block(); err != nil || end != "endif" {
			return nil, errors.Join(err, errors.New("an else without its endif"))
		}
	case "endif":
	default:
		return nil, errors.New("an if without its endif")
	}
	return func(v *scope, out *strings.Builder) error {
		x, err := test(v)
		switch {
		case err != nil:
			return err
		case truth(x):
			return then(v, out)
		}
		return otherwise(v, out)
	}, nil
}

// loop reads a for: one name, no condition.
func (p *parser) loop(head string) (statement, error) {
	name, of, ok := strings.Cut(head, " in ")
	name = strings.TrimSpace(name)
	if !ok || !isWord(name) {
		return nil, fmt.Errorf("for %s is not supported", head)
	}
	list, err := parseCondition(of)
	if err != nil {
		return nil, err
	}
	body, end, err := p.block()
	if err != nil || end != "endfor" {
		return nil, errors.Join(err, errors.New("a for without its endfor"))
	}
	return func(v *scope, out *strings.Builder) error {
		x, err := list(v)
		if err != nil {
			return err
		}
		items, ok := x.([]any)
		if !ok {
			return fmt.Errorf("for over what is no list")
		}
		for i, item := range items {
			if *v.rounds--; *v.rounds < 0 {
				return errors.New("its loops do not end")
			}
			inner := &scope{outer: v, rounds: v.rounds, values: map[string]any{name: item, "loop": map[string]any{
				"index": i + 1, "index0": i, "first": i == 0, "last": i == len(items)-1, "length": len(items),
			}}}
			if err := body(inner, out); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// assignment reads a set.
func assignment(text string) (statement, error) {
	name, value, ok := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	if !ok || !isWord(name) {
		return nil, fmt.Errorf("set %s is not supported", text)
	}
	e, err := parseExpression(value)
	return func(v *scope, _ *strings.Builder) error {
		x, err := e(v)
		v.values[name] = x
		return err
	}, err
}

var word = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*`)

func isWord(s string) bool { return s != "" && word.FindString(s) == s }

// firstWord parts a statement's name from the rest.
func firstWord(text string) (name, rest string) {
	text = strings.TrimSpace(text)
	name = word.FindString(text)
	return name, text[len(name):]
}
