package workflow

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// namespaces is the set of first words that a reference may have at some place.
type namespaces int

const (
	inParams namespaces = 1 << iota
	inMatrix
	inStages
	inSecrets
)

var namespaceNames = []string{"params", "matrix", "stages", "secrets"}

// segment is a name in a reference with the offset, in code points, of its first character in
// the text.
type segment struct {
	name   string
	offset int
}

// part of a text: literal, or a reference when path is set.
type part struct {
	literal string
	path    []segment // params.NAME, matrix.AXIS, secrets.NAME or stages.STAGE.outputs.OUTPUT
	offset  int       // of the reference's $, in code points
}

// refError is a problem of a text's references, at an offset in code points.
type refError struct {
	offset     int
	code       string
	hint, text string
}

// splitText cuts a text into literals and references.
func splitText(text string, allowed namespaces) ([]part, *refError) {
	var parts []part
	literal := strings.Builder{}
	flush := func() {
		if literal.Len() > 0 {
			parts = append(parts, part{literal: literal.String()})
			literal.Reset()
		}
	}
	offset := 0
	for text != "" {
		if strings.HasPrefix(text, "$${") {
			literal.WriteString("${")
			text, offset = text[3:], offset+3
			continue
		}
		if !strings.HasPrefix(text, "${") {
			_, n := utf8.DecodeRuneInString(text)
			literal.WriteString(text[:n])
			text, offset = text[n:], offset+1
			continue
		}
		if allowed == 0 {
			return nil, &refError{offset, CodeReferenceNotAllowed, "write $${ for a literal ${", "no reference is resolved here"}
		}
		end := strings.IndexByte(text, '}')
		if end < 0 || strings.Contains(text[2:end], "${") {
			return nil, &refError{offset, CodeReferenceSyntax, "write $${ for a literal ${", "${ without its }"}
		}
		path, problem := parseReference(text[2:end], offset+2, allowed)
		if problem != nil {
			return nil, problem
		}
		flush()
		parts = append(parts, part{path: path, offset: offset})
		offset += utf8.RuneCountInString(text[:end+1])
		text = text[end+1:]
	}
	flush()
	return parts, nil
}

const referenceForms = "a reference is params.NAME, matrix.AXIS, secrets.NAME or stages.STAGE.outputs.OUTPUT"

// parseReference reads what stands between the braces; offset is that of its first character.
func parseReference(inner string, offset int, allowed namespaces) ([]segment, *refError) {
	trimmed := strings.TrimLeft(inner, " \t")
	if trimmed != "" {
		offset += len(inner) - len(trimmed)
	}
	trimmed = strings.TrimRight(trimmed, " \t")
	syntax := &refError{offset, CodeReferenceSyntax, referenceForms, "not a reference: ${" + inner + "}"}
	var path []segment
	at := offset
	for _, name := range strings.Split(trimmed, ".") {
		if !isName(name) {
			return nil, syntax
		}
		path = append(path, segment{norm.NFC.String(name), at})
		at += utf8.RuneCountInString(name) + 1
	}
	var needs namespaces
	switch path[0].name {
	case "params":
		needs = inParams
	case "matrix":
		needs = inMatrix
	case "secrets":
		needs = inSecrets
	case "stages":
		needs = inStages
	default:
		return nil, &refError{offset, CodeUnknownNamespace, suggest(path[0].name, namespaceNames), "unknown name space " + shorten(path[0].name)}
	}
	if needs == inStages && len(path) == 4 && path[2].name == "output" {
		syntax.hint = `write "outputs"`
	}
	if needs == inStages && (len(path) != 4 || path[2].name != "outputs") || needs != inStages && len(path) != 2 {
		return nil, syntax
	}
	if allowed&needs == 0 {
		return nil, &refError{offset, CodeReferenceNotAllowed, "", "a reference to " + path[0].name + " is not allowed here"}
	}
	return path, nil
}

const maxNameLength = 64

// isName tells whether s names a stage, parameter, slot or axis: first a letter of any script or
// _, then letters, marks, digits, _ and -.
func isName(s string) bool {
	if s == "" || utf8.RuneCountInString(s) > maxNameLength {
		return false
	}
	for i, c := range s {
		switch {
		case unicode.IsLetter(c) || c == '_':
		case i > 0 && (unicode.IsMark(c) || unicode.IsDigit(c) || c == '-'):
		default:
			return false
		}
	}
	return true
}

const nameHelp = "a name starts with a letter or _, goes on with letters, digits, _ and -, and has at most 64 characters"
