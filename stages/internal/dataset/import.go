package dataset

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/japanese"
)

// Class says what is wrong with a file or a row. Programs may rely on it; messages are for
// people.
type Class string

// What refuses a whole file.
const (
	BadEncoding   Class = "encoding"
	NotJSONL      Class = "not-jsonl"
	NoRows        Class = "no-rows"
	UnknownFormat Class = "unknown-format" // also of a row
)

// What refuses a row, in the order in which they are looked for.
const (
	InvalidUTF8        Class = "invalid-utf8"
	BadJSON            Class = "bad-json"
	BadCSV             Class = "bad-csv"
	NotObject          Class = "not-object"
	MissingField       Class = "missing-field"
	WrongType          Class = "wrong-type"
	BadText            Class = "bad-text"
	SpecialToken       Class = "special-token"
	BadRoles           Class = "bad-roles"
	EmptyPrompt        Class = "empty-prompt"
	EmptyOutput        Class = "empty-output"
	MissingLabel       Class = "missing-label"
	UnknownLabel       Class = "unknown-label"
	LabelConflict      Class = "label-conflict"
	TooLong            Class = "too-long"
	DuplicateExact     Class = "duplicate-exact"
	DuplicateNFKC      Class = "duplicate-nfkc"
	ContradictoryLabel Class = "contradictory-label"
	// NearDuplicate is a warning: the row stays.
	NearDuplicate Class = "near-duplicate"
)

// Finding is one thing to say about a line.
type Finding struct {
	File    string
	Line    int // physical, from 1; in CSV where the record starts
	Class   Class
	Message string
	// Of is the line of the earlier row that this one repeats; With are the other rows
	// that contradict it.
	Of   int
	With []int
	// Jaccard similarity to Of.
	Jaccard float64
}

func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Class, f.Message)
}

// FileError is why a file gave nothing.
type FileError struct {
	File    string
	Class   Class
	Message string
}

func (e *FileError) Error() string { return fmt.Sprintf("%s: %s: %s", e.File, e.Class, e.Message) }

// Options of an import. The zero value of MaxChars is 8192.
type Options struct {
	Encoding       string // utf-8 (also "") or shift_jis
	LabelsRequired bool
	MaxChars       int
}

// Imported is a row of a user's file in canonical form. Its messages are the user's; see
// Targeted.
type Imported struct {
	Row
	Line   int
	Format string // alpaca, chat, sharegpt, so8t, so8t-b, text, csv
}

// Import is what a file gave. Rejected and Warnings are in the order of lines.
type Import struct {
	Rows       []Imported
	Rejected   []Finding
	Warnings   []Finding
	BlankLines int
}

// ImportFile reads a user's file: JSONL in any of the known formats, row by row, or CSV by
// its extension. A bad row never stops the reading; the error is a *FileError when the
// file gives nothing, and what was wrong with its rows is still in the Import.
func ImportFile(path string, o Options) (*Import, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading dataset: %w", err)
	}
	if o.MaxChars == 0 {
		o.MaxChars = 8192
	}
	im := &importer{file: path, options: o, out: &Import{}}
	if err := im.decode(raw); err != nil {
		return im.out, err
	}
	return im.out, im.finish()
}

type importer struct {
	file    string
	options Options
	out     *Import
}

func (im *importer) fail(c Class, format string, args ...any) error {
	return &FileError{File: im.file, Class: c, Message: fmt.Sprintf(format, args...)}
}

func (im *importer) reject(line int, p *problem) {
	im.out.Rejected = append(im.out.Rejected, Finding{File: im.file, Line: line, Class: p.class, Message: p.message})
}

// problem is what is wrong with one row.
type problem struct {
	class   Class
	message string
}

func wrong(c Class, format string, args ...any) *problem {
	return &problem{c, fmt.Sprintf(format, args...)}
}

// decode turns bytes into text and reads the rows.
func (im *importer) decode(raw []byte) error {
	for _, mark := range []struct{ bytes, name string }{
		{"\xff\xfe\x00\x00", "UTF-32"}, {"\x00\x00\xfe\xff", "UTF-32"}, {"\xff\xfe", "UTF-16"}, {"\xfe\xff", "UTF-16"},
	} {
		if bytes.HasPrefix(raw, []byte(mark.bytes)) {
			return im.fail(BadEncoding, "the file is %s; save it as UTF-8", mark.name)
		}
	}
	if im.options.Encoding == "shift_jis" {
		text, ok := fromShiftJIS(raw)
		if !ok {
			return im.fail(BadEncoding, "encoding is shift_jis, but the bytes are not Shift_JIS (CP932)")
		}
		raw = text
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	if err := im.mostlyUTF8(raw); err != nil {
		return err
	}
	if strings.EqualFold(filepath.Ext(im.file), ".csv") {
		return im.csv(raw)
	}
	return im.jsonl(raw)
}

// fromShiftJIS decodes CP932; false when a byte sequence is none.
func fromShiftJIS(raw []byte) ([]byte, bool) {
	text, err := japanese.ShiftJIS.NewDecoder().Bytes(raw)
	return text, err == nil && !bytes.ContainsRune(text, utf8.RuneError)
}

// mostlyUTF8 refuses a file of which more than half the lines are not UTF-8.
func (im *importer) mostlyUTF8(raw []byte) error {
	if utf8.Valid(raw) {
		return nil
	}
	lines, bad := 0, 0
	for line := range bytes.SplitSeq(raw, []byte{'\n'}) {
		if blank(line) {
			continue
		}
		lines++
		if !utf8.Valid(line) {
			bad++
		}
	}
	if 2*bad <= lines {
		return nil
	}
	if _, ok := fromShiftJIS(raw); ok {
		return im.fail(BadEncoding, "the file is not UTF-8; it looks like Shift_JIS: set encoding to shift_jis, or save it as UTF-8")
	}
	return im.fail(BadEncoding, "%d of %d lines are not UTF-8; save the file as UTF-8", bad, lines)
}

func blank(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 }

// finish looks across rows and refuses an empty result.
func (im *importer) finish() error {
	im.across()
	if len(im.out.Rows) > 0 {
		return nil
	}
	if n := len(im.out.Rejected); n > 0 {
		return im.fail(NoRows, "none of %d rows can be used; the first: line %d: %s", n, im.out.Rejected[0].Line, im.out.Rejected[0].Message)
	}
	return im.fail(NoRows, "the file holds no row")
}
