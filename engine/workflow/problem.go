package workflow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a file of the workflow. Line and Col start at 1; Col counts Unicode code
// points. The zero Pos means no place (a value from the command line).
type Pos struct {
	File string
	Line int
	Col  int
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// seenFrom names the place in a message about another.
func (p Pos) seenFrom(other Pos) string {
	if p.File == other.File {
		return fmt.Sprintf("on line %d", p.Line)
	}
	return fmt.Sprintf("in %s on line %d", p.File, p.Line)
}

func (p Pos) right(columns int) Pos {
	p.Col += columns
	return p
}

// Classes of problems.
const (
	CodeEncoding            = "encoding"
	CodeMultipleDocuments   = "multiple-documents"
	CodeEmptyFile           = "empty-file"
	CodeTabIndentation      = "tab-indentation"
	CodeYAMLSyntax          = "yaml-syntax"
	CodeTooDeep             = "too-deep"
	CodeTooLarge            = "too-large"
	CodeAliasBomb           = "alias-bomb"
	CodeAliasCycle          = "alias-cycle"
	CodeUnknownAnchor       = "unknown-anchor"
	CodeAmbiguousNumber     = "ambiguous-number"
	CodeOutOfRange          = "out-of-range"
	CodeDuplicateKey        = "duplicate-key"
	CodeDuplicateStage      = "duplicate-stage"
	CodeDuplicateParam      = "duplicate-param"
	CodeDuplicateNeeds      = "duplicate-needs"
	CodeDuplicateSecret     = "duplicate-secret"
	CodeDuplicateValue      = "duplicate-value"
	CodeDuplicateAxis       = "duplicate-axis"
	CodeUnknownTag          = "unknown-tag"
	CodeNoStages            = "no-stages"
	CodeBadVersion          = "bad-version"
	CodeWrongType           = "wrong-type"
	CodeBadName             = "bad-name"
	CodeReservedName        = "reserved-name"
	CodeBadEnum             = "bad-enum"
	CodeBadPattern          = "bad-pattern"
	CodeBadDuration         = "bad-duration"
	CodeBadSize             = "bad-size"
	CodeConflict            = "conflict"
	CodeMissingParam        = "missing-param"
	CodeMissingKey          = "missing-key"
	CodeExpressionSyntax    = "expression-syntax"
	CodeUnknownKey          = "unknown-key"
	CodeUnknownPlugin       = "unknown-plugin"
	CodeBadPlugin           = "bad-plugin"
	CodeUnknownStage        = "unknown-stage"
	CodeUnknownOutput       = "unknown-output"
	CodeUnknownParam        = "unknown-param"
	CodeUnknownMatrix       = "unknown-matrix"
	CodeUnknownSecret       = "unknown-secret"
	CodeUnknownSlot         = "unknown-slot"
	CodeUnknownNamespace    = "unknown-namespace"
	CodeUnknownName         = "unknown-name"
	CodeUnknownMetric       = "unknown-metric"
	CodeUnknownFunction     = "unknown-function"
	CodeReferenceSyntax     = "reference-syntax"
	CodeReferenceNotAllowed = "reference-not-allowed"
	CodeListInText          = "list-in-text"
	CodeMatrixEmpty         = "matrix-empty"
	CodeMatrixTooLarge      = "matrix-too-large"
	CodeNoMatrix            = "no-matrix"
	CodeAxisMismatch        = "axis-mismatch"
	CodeIncludeOutside      = "include-outside"
	CodeIncludeMissing      = "include-missing"
	CodeIncludeCycle        = "include-cycle"
	CodeCycle               = "cycle"
)

// Problem is one thing that is wrong with a workflow.
type Problem struct {
	File    string   `json:"file"` // relative to the project directory; empty: the command line
	Line    int      `json:"line"` // 0: no place
	Col     int      `json:"col"`
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Hint    string   `json:"hint"`
	Path    []string `json:"path,omitempty"` // a cycle, from its first member back to it
	Excerpt string   `json:"-"`              // the line of the file that Line names
}

func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		fmt.Fprintf(&b, "%s: ", Pos{p.File, p.Line, p.Col})
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		fmt.Fprintf(&b, " (%s)", p.Hint)
	}
	return b.String()
}

// Problems are all problems of a workflow, sorted by file, line and column.
type Problems []Problem

// Sort orders them by place; those of one place stay as they are.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
}

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// report gathers problems. One place has one problem of a class: an anchored text that is used
// twice, or a value that is wrong in several instances, is reported where it is written, once.
type report struct {
	problems []Problem
	seen     map[reportKey]bool
	sources  map[string]*source

	suggestions int
}

type reportKey struct {
	pos  Pos
	code string
	text string // tells problems without a place apart
}

func newReport() *report {
	return &report{seen: map[reportKey]bool{}, sources: map[string]*source{}}
}

func (r *report) add(at Pos, code, hint, format string, args ...any) {
	r.addProblem(at, Problem{Code: code, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

func (r *report) addProblem(at Pos, p Problem) {
	key := reportKey{pos: at, code: p.Code}
	if at.Line == 0 {
		key.text = p.Message
	}
	if r.seen[key] || len(r.problems) > maxProblems {
		return
	}
	if len(r.problems) == maxProblems {
		at, p = Pos{File: at.File}, Problem{Code: CodeTooLarge, Message: fmt.Sprintf("over %d problems, the others are not listed", maxProblems)}
	}
	r.seen[key] = true
	p.File, p.Line, p.Col = at.File, at.Line, at.Col
	if src := r.sources[at.File]; src != nil && at.Line > 0 {
		p.Excerpt = src.line(at.Line)
	}
	r.problems = append(r.problems, p)
}

func (r *report) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	problems := Problems(r.problems)
	problems.Sort()
	return problems
}
