package workflow

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits on a file. The parser is quadratic in mapping entries and recursive in nesting, so a
// scan refuses both before it runs.
const (
	maxBytes   = 1 << 20
	maxDepth   = 100
	maxEntries = 20_000
	maxNodes   = 100_000
	maxValues  = 180_000 // in a workflow, as the scan counts them, and lines
	maxPiece   = 30_000  // in what is parsed at once, see piece.go
	// maxFlowItems bounds the entries of a flow collection with all that it holds, where the parser
	// is quadratic: 30,000 take it most of a second.
	maxFlowItems = 30_000
	// scanDepth is where the scan gives up. It counts a few levels too many (it does not know
	// where plain text goes on), so the tree is measured again, exactly.
	scanDepth = 2 * maxDepth
)

// noData is the hint where a workflow is too large.
const noData = "values by the thousand belong into a file that a stage reads"

// source is one file: its lines as they were written and as the parser gets them (no byte order mark,
// lines ended by LF, document markers blanked).
type source struct {
	file  string
	lines []string
	clean []string
	cuts  cuts
	// values and lines, as they are counted against maxValues.
	values int

	cursor cursor // of from
}

// cursor is a place whose offset in its line is known.
type cursor struct{ line, col, offset int }

func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// from gives the text of pos's line from pos on. It goes there from where it was last: a file may be one
// long line.
func (s *source) from(pos Pos) string {
	line := s.line(pos.Line)
	if pos.Line != s.cursor.line || pos.Col < s.cursor.col/2 {
		s.cursor = cursor{line: pos.Line, col: 1}
	}
	at := &s.cursor
	for ; at.col < pos.Col; at.col++ {
		if at.offset == len(line) {
			return ""
		}
		_, n := utf8.DecodeRuneInString(line[at.offset:])
		at.offset += n
	}
	for ; at.col > max(pos.Col, 1); at.col-- {
		_, n := utf8.DecodeLastRuneInString(line[:at.offset])
		at.offset -= n
	}
	return line[at.offset:]
}

// scan reads src as text. It reports what the parser must not see and gives nil then.
func scan(file string, src []byte, r *report) *source {
	s := &source{file: file}
	r.sources[file] = s
	if len(src) > maxBytes {
		r.add(Pos{file, 1, 1}, CodeTooLarge, noData, "the file has %d bytes, over the limit of %d", len(src), maxBytes)
		return nil
	}
	if name := wideEncoding(src); name != "" {
		r.add(Pos{file, 1, 1}, CodeEncoding, "save the file as UTF-8", "the file is %s, not UTF-8", name)
		return nil
	}
	text := strings.TrimPrefix(string(src), "\uFEFF")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	if lines := strings.Count(text, "\n"); lines > maxValues {
		r.add(Pos{file, 1, 1}, CodeTooLarge, noData, "the file has %d lines, over the limit of %d", lines, maxValues)
		return nil
	}
	s.lines = strings.Split(text, "\n")
	for i, line := range s.lines {
		if !checkBytes(Pos{file, i + 1, 1}, line, r) {
			return nil
		}
	}
	sc := &scanner{src: s, report: r, parent: -1, plain: noPlain}
	if !sc.run() {
		return nil
	}
	s.clean, s.cuts, s.values = sc.out, sc.cuts, max(sc.values, len(s.lines))
	return s
}

func wideEncoding(src []byte) string {
	switch {
	case bytes.HasPrefix(src, []byte{0xFF, 0xFE, 0, 0}), bytes.HasPrefix(src, []byte{0, 0, 0xFE, 0xFF}):
		return "UTF-32"
	case bytes.HasPrefix(src, []byte{0xFF, 0xFE}), bytes.HasPrefix(src, []byte{0xFE, 0xFF}):
		return "UTF-16"
	case len(src) >= 4 && src[0] == 0 && src[1] == 0 && src[2] == 0, len(src) >= 4 && src[1] == 0 && src[2] == 0 && src[3] == 0:
		return "UTF-32"
	case len(src) >= 2 && (src[0] == 0) != (src[1] == 0):
		return "UTF-16"
	}
	return ""
}

// checkBytes reports the first byte of line that is not UTF-8 or that YAML does not allow.
func checkBytes(at Pos, line string, r *report) bool {
	col := 1
	for i, c := range line {
		if c == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(line[i:]); n == 1 {
				r.add(Pos{at.File, at.Line, col}, CodeEncoding, "save the file as UTF-8", "byte 0x%02X is not UTF-8", line[i])
				return false
			}
		}
		if (c < ' ' && c != '\t') || c == 0x7F {
			r.add(Pos{at.File, at.Line, col}, CodeYAMLSyntax, "write it as an escape in a quoted text", "control character U+%04X", c)
			return false
		}
		col++
	}
	return true
}

// scanner walks over the lines with just enough of YAML's grammar to know where a quoted text, a
// flow collection or a block text is open, how deep collections nest and how many entries they have.
type scanner struct {
	src    *source
	report *report
	out    []string

	quote rune   // the quote that is open, or 0
	flow  []flow // open flow collections
	// flowItems counts entries, at any depth, in the outermost open flow collection.
	flowItems int
	blocks    []block
	cuts      cuts
	values    int // keys, values and items so far
	piece     int // of those, since the last line at which the file can be cut
	// A block text is open while textIndent > 0: lines indented that far belong to it, and -1 means
	// that the next line with content decides (it must be deeper than parent).
	textIndent int
	parent     int
	plain      int  // the indentation that text must exceed to go on with the plain scalar before it
	started    bool // content was seen
	marked     bool // a leading --- was seen
	ended      bool // a ... was seen
}

const noPlain = 1 << 30

type flow struct {
	bracket rune
	commas  int
}

type block struct{ col, entries int }

func (s *scanner) run() bool {
	for i, line := range s.src.lines {
		s.out = append(s.out, line)
		if !s.line(i+1, []rune(line)) || !s.fits(i+1) {
			return false
		}
	}
	if !s.started {
		s.report.add(Pos{s.src.file, 1, 1}, CodeEmptyFile, "a workflow has at least version and stages", "the file holds no workflow")
		return false
	}
	return true
}

// fits tells whether what was read is not too much for the parser.
func (s *scanner) fits(n int) bool {
	limit := 0
	switch {
	case s.values > maxValues:
		limit = maxValues
	case s.cuts.whole && s.values > maxPiece, s.piece > maxPiece:
		limit = maxPiece
	default:
		return true
	}
	what, hint := "one entry of the workflow", "split it with include"
	if limit == maxValues {
		what, hint = "one file", noData
	} else if s.cuts.whole {
		what = "a workflow with anchors, tags or << at its stages"
	}
	return s.refuse(n, 0, CodeTooLarge, hint, fmt.Sprintf("over %d values in %s", limit, what))
}

func (s *scanner) count(values int) {
	s.values += values
	s.piece += values
}

func (s *scanner) refuse(line, col int, code, hint, message string) bool {
	s.report.add(Pos{s.src.file, line, col + 1}, code, hint, "%s", message)
	return false
}

func (s *scanner) line(n int, line []rune) bool {
	indent := 0
	for indent < len(line) && line[indent] == ' ' {
		indent++
	}
	if indent == 0 && isMarker(line) {
		return s.marker(n, line)
	}
	blank := strings.Trim(string(line[indent:]), " \t") == ""
	if s.inText(indent, blank) || blank {
		return true
	}
	if s.quote == 0 && len(s.flow) > 0 && line[indent] == '\t' {
		return s.refuse(n, indent, CodeTabIndentation, "indent with spaces", "a tab in the indentation")
	}
	if s.quote != 0 || len(s.flow) > 0 {
		return s.inline(n, line, indent, s.quote == 0)
	}
	return s.blockLine(n, line, indent)
}

// blockLine handles a line that starts outside quotes, flow collections and block texts.
func (s *scanner) blockLine(n int, line []rune, indent int) bool {
	first := indent
	for first < len(line) && (line[first] == ' ' || line[first] == '\t') {
		first++
	}
	if line[first] == '#' {
		s.plain = noPlain
		return true
	}
	if first > indent {
		return s.refuse(n, indent, CodeTabIndentation, "indent with spaces", "a tab in the indentation")
	}
	if line[0] == '%' && !s.started {
		s.out[n-1] = ""
		return true
	}
	if s.ended {
		return s.refuse(n, indent, CodeMultipleDocuments, "one file holds one workflow", "a second document after ...")
	}
	s.cuts.whole = s.cuts.whole || s.started && len(s.cuts.at) == 0
	s.started = true
	if indent > s.plain {
		return s.inline(n, line, indent, false)
	}
	for len(s.blocks) > 0 && s.blocks[len(s.blocks)-1].col > indent {
		s.blocks = s.blocks[:len(s.blocks)-1]
	}
	col := indent
	s.parent = indent - 1
	for col < len(line) && (line[col] == '-' || line[col] == '?') && isBlankAt(line, col+1) {
		if !s.enter(n, col, line[col] == '?') {
			return false
		}
		s.parent = col
		for col++; col < len(line) && (line[col] == ' ' || line[col] == '\t'); {
			col++
		}
	}
	if col == len(line) || line[col] == '#' {
		s.plain = noPlain
		return true
	}
	if hasKey(line[col:]) {
		s.parent = col
		if !s.enter(n, col, true) {
			return false
		}
		if col > indent {
			s.cuts.item(len(s.blocks))
		} else if s.cuts.entry(n, col, len(s.blocks), line, s.blocks[len(s.blocks)-1].entries == 1) {
			s.piece = 0
		}
	}
	return s.inline(n, line, col, true)
}

// enter notes an entry of the block collection at col.
func (s *scanner) enter(n, col int, mapping bool) bool {
	if len(s.blocks) == 0 || s.blocks[len(s.blocks)-1].col < col {
		if s.blocks = append(s.blocks, block{col: col}); len(s.blocks)+len(s.flow) > scanDepth {
			return s.tooDeep(n, col)
		}
	}
	s.count(1)
	if !mapping {
		s.cuts.item(len(s.blocks))
		return true
	}
	s.count(1)
	b := &s.blocks[len(s.blocks)-1]
	if b.entries++; b.entries > maxEntries {
		return s.tooMany(n, col)
	}
	return true
}

func (s *scanner) tooDeep(n, col int) bool {
	return s.refuse(n, col, CodeTooDeep, "", "nested deeper than 100 levels")
}

func (s *scanner) tooMany(n, col int) bool {
	return s.refuse(n, col, CodeTooLarge, "split the file with include", "a mapping of over 20000 entries")
}

// marker handles a line that starts with --- or ... .
func (s *scanner) marker(n int, line []rune) bool {
	s.textIndent, s.plain = 0, noPlain
	if line[0] == '.' {
		s.ended = true
		s.out[n-1] = ""
		return true
	}
	if s.started || s.ended || s.marked {
		return s.refuse(n, 0, CodeMultipleDocuments, "one file holds one workflow", "a second document")
	}
	s.marked = true
	s.out[n-1] = "   " + string(line[3:])
	rest := strings.TrimSpace(string(line[3:]))
	if rest == "" || rest[0] == '#' {
		return true
	}
	s.started = true
	s.parent = -1
	return s.inline(n, line, 3, true)
}

// inText tells whether the line belongs to an open block text.
func (s *scanner) inText(indent int, blank bool) bool {
	if s.textIndent == 0 {
		return false
	}
	if blank {
		return true
	}
	if s.textIndent < 0 && indent > s.parent {
		s.textIndent = indent
		if indent == 0 {
			s.textIndent = 0 // a text at the root without indentation: read it as lines
			return false
		}
	}
	if s.textIndent > 0 && indent >= s.textIndent {
		return true
	}
	s.textIndent = 0
	return false
}

func isMarker(line []rune) bool {
	if len(line) < 3 || !isBlankAt(line, 3) {
		return false
	}
	m := string(line[:3])
	return m == "---" || m == "..."
}

func isBlankAt(line []rune, i int) bool {
	return i >= len(line) || line[i] == ' ' || line[i] == '\t'
}
