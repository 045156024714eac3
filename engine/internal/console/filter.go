package console

import (
	"bytes"
	"io"
	"slices"
)

// ColourFilter passes on what a program printed, without what would act on the terminal: of control
// characters only colours, line ends, tabs and carriage returns (bars of progress) go through.
type ColourFilter struct {
	to   io.Writer
	rest []byte // the beginning of a sequence that has not come whole
}

// NewColourFilter returns a filter in front of a terminal.
func NewColourFilter(to io.Writer) *ColourFilter { return &ColourFilter{to: to} }

// longestColour bounds a sequence that sets colours: two of 24 bits have less.
const longestColour = 64

// Write implements io.Writer.
func (f *ColourFilter) Write(b []byte) (int, error) {
	text := slices.Concat(f.rest, b)
	f.rest = nil
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		take, drop, whole := filterNext(text)
		if !whole {
			f.rest = bytes.Clone(text)
			break
		}
		out = append(out, text[:take]...)
		text = text[take+drop:]
	}
	if _, err := f.to.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// filterNext says how many bytes at the beginning of text go through, and how many after them do
// not. Not whole: more must come before that is known.
func filterNext(text []byte) (take, drop int, whole bool) {
	switch c := text[0]; {
	case c == '\n', c == '\t', c == '\r':
		return 1, 0, true
	case c == 0x1b:
		return filterEscape(text)
	case c < ' ', c == 0x7f:
		return 0, 1, true
	case c == 0xC2: // in UTF-8 the second set of control characters begins so
		if len(text) == 1 {
			return 0, 0, false
		}
		if text[1] >= 0x80 && text[1] < 0xA0 {
			return 0, 2, true
		}
	}
	return 1, 0, true
}

// filterEscape is for what begins with ESC: of all but colours that character goes, and the rest is
// text.
func filterEscape(text []byte) (take, drop int, whole bool) {
	for i, c := range text[1:min(len(text), longestColour)] {
		switch {
		case i == 0 && c == '[', i > 0 && (c >= '0' && c <= '9' || c == ';' || c == ':'):
		case i > 0 && c == 'm':
			return i + 2, 0, true
		default:
			return 0, 1, true
		}
	}
	return 0, 1, len(text) >= longestColour
}
