package dataset

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/so8t/so8t/stages/internal/chat"
)

// testdata/import holds files and what an import must make of each line, annotated by hand.

type expectedFinding struct {
	Line    int
	Class   Class
	Of      int
	With    []int
	Jaccard float64
}

type expectedCase struct {
	File    string
	Options struct {
		Encoding string
		Labels   string
		MaxChars int `json:"max_chars"`
	}
	FileError *struct {
		Class   Class
		Mention []string
	} `json:"file_error"`
	AcceptedLines []int `json:"accepted_lines"`
	BlankLines    int   `json:"blank_lines"`
	Rejected      []expectedFinding
	Warnings      []expectedFinding
	DidYouMean    map[string]string `json:"did_you_mean"`
	Rows          []struct {
		Line                  int
		Format                string
		Label, Domain, Reason *string
		Messages              []chat.Message
	}
	Train, Test string
	Leaks       []struct {
		Line    int
		Class   Class
		Overlap float64
	}
	Overlaps []struct {
		Line    int
		Overlap float64
	}
}

func expectedCases(t *testing.T) []expectedCase {
	t.Helper()
	raw, err := os.ReadFile("testdata/import/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var x struct{ Cases []expectedCase }
	if err := json.Unmarshal(raw, &x); err != nil {
		t.Fatal(err)
	}
	if len(x.Cases) != 47 {
		t.Fatalf("%d cases", len(x.Cases))
	}
	return x.Cases
}

func importPath(name string) string { return filepath.Join("testdata", "import", "files", name) }

func TestImport_Fixtures_LineByLine(t *testing.T) {
	for _, c := range expectedCases(t) {
		if c.File == "" {
			continue // a leak case
		}
		t.Run(c.File, func(t *testing.T) {
			got, err := ImportFile(importPath(c.File), Options{
				Encoding: c.Options.Encoding, LabelsRequired: c.Options.Labels == "required", MaxChars: c.Options.MaxChars})
			checkFileError(t, c, err)
			checkFindings(t, "rejected", got.Rejected, c.Rejected)
			checkFindings(t, "warnings", got.Warnings, c.Warnings)
			if c.FileError == nil {
				checkRows(t, c, got)
			}
			for wrong, right := range c.DidYouMean {
				if !slices.ContainsFunc(got.Rejected, func(f Finding) bool {
					return strings.Contains(f.Message, wrong) && strings.Contains(f.Message, "did you mean "+right)
				}) {
					t.Errorf("no message suggests %s for %s", right, wrong)
				}
			}
		})
	}
}

func checkFileError(t *testing.T, c expectedCase, err error) {
	t.Helper()
	if c.FileError == nil {
		if err != nil {
			t.Errorf("error %v", err)
		}
		return
	}
	var fe *FileError
	if !errors.As(err, &fe) || fe.Class != c.FileError.Class {
		t.Fatalf("error %v, want class %s", err, c.FileError.Class)
	}
	for _, m := range append(c.FileError.Mention, c.File) {
		if !strings.Contains(err.Error(), m) {
			t.Errorf("%q does not mention %q", err, m)
		}
	}
}

func checkFindings(t *testing.T, what string, got []Finding, want []expectedFinding) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d %s: %v, want %v", len(got), what, got, want)
		return
	}
	for i, g := range got {
		w := want[i]
		if g.Line != w.Line || g.Class != w.Class || g.Of != w.Of || !slices.Equal(g.With, w.With) || math.Abs(g.Jaccard-w.Jaccard) > 1e-6 {
			t.Errorf("%s: %+v, want %+v", what, g, w)
		}
		if g.Message == "" || !strings.Contains(g.String(), g.File) {
			t.Errorf("%s: %q names no file or no cause", what, g)
		}
	}
}

func checkRows(t *testing.T, c expectedCase, got *Import) {
	t.Helper()
	var lines []int
	for _, r := range got.Rows {
		lines = append(lines, r.Line)
	}
	if !slices.Equal(lines, c.AcceptedLines) {
		t.Fatalf("accepted lines %v, want %v", lines, c.AcceptedLines)
	}
	if got.BlankLines != c.BlankLines {
		t.Errorf("%d blank lines, want %d", got.BlankLines, c.BlankLines)
	}
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	for i, w := range c.Rows {
		g := got.Rows[i]
		if g.Line != w.Line || g.Format != w.Format || g.Label != text(w.Label) || g.Domain != text(w.Domain) || g.Reason != text(w.Reason) || !slices.Equal(g.Messages, w.Messages) {
			t.Errorf("row %+v, want %+v", g, w)
		}
	}
}

func TestFindLeaks_Fixtures_LineByLine(t *testing.T) {
	n := 0
	for _, c := range expectedCases(t) {
		if c.Train == "" {
			continue
		}
		n++
		read := func(name string) (rows []Row, lines []int) {
			im, err := ImportFile(importPath(name), Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range im.Rows {
				rows, lines = append(rows, r.Row), append(lines, r.Line)
			}
			return rows, lines
		}
		train, _ := read(c.Train)
		test, lines := read(c.Test)
		leaks := c.Leaks
		for i, l := range FindLeaks(train, test) {
			if w := c.Overlaps[i]; w.Line != lines[i] || math.Abs(l.Overlap-w.Overlap) > 1e-6 {
				t.Errorf("%s:%d: overlap %f, want %f", c.Test, lines[i], l.Overlap, w.Overlap)
			}
			want := Class("")
			if len(leaks) > 0 && leaks[0].Line == lines[i] {
				want, leaks = leaks[0].Class, leaks[1:]
			}
			if l.Class != want {
				t.Errorf("%s:%d: %q, want %q", c.Test, lines[i], l.Class, want)
			}
		}
	}
	if n != 2 {
		t.Errorf("%d leak cases", n)
	}
}

func TestImport_TextLabelRows_TargetStatesLabelAndReason(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	text := `{"text":"会議室の予約を取り消す手順は？","label":"許可","reason":"公開の手順。"}
{"text":"台車の点検を止めてください。","label":"escalation"}
{"text":"x","label":"いいえ"}
{"instruction":"鉄道の安全報告書はどこですか。","output":"案内ページです。","judgment":"ALLOW","reason":"公表資料。"}
{"instruction":"名簿を送ってください。","output":"判定: DENY\nお渡しできません。","judgment":"DENY","reason":"個人情報。"}
{"instruction":"荷役計画はいつ確定しますか。","output":"前日の夕方です。"}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	im, err := ImportFile(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"判定: ALLOW\n理由: 公開の手順。", "判定: ESCALATION\n", "判定: ALLOW\n理由: 公表資料。\n案内ページです。",
		"判定: DENY\nお渡しできません。", "前日の夕方です。"}
	for i, r := range im.Rows {
		row := r.Targeted()
		if len(row.Messages) != 2 || row.Messages[1].Content != want[i] {
			t.Errorf("line %d: %q, want %q", r.Line, row.Messages, want[i])
		}
		if again := (Imported{Row: row}).Targeted(); again.Messages[1].Content != want[i] {
			t.Errorf("line %d: a target changes when made again: %q", r.Line, again.Messages[1].Content)
		}
	}
	if len(im.Rejected) != 1 || im.Rejected[0].Line != 3 || im.Rejected[0].Class != UnknownLabel {
		t.Errorf("rejected %v", im.Rejected)
	}
}

func FuzzImport_NeverPanics(f *testing.F) {
	f.Add("{\"text\":\"a\",\"label\":\"DENY\"}\n", false)
	f.Add("instruction,output\n\"a\"\"b\",c\n\"open", true)
	f.Fuzz(func(t *testing.T, text string, csv bool) {
		im := &importer{file: "x.jsonl", options: Options{MaxChars: 100}, out: &Import{}}
		if csv {
			im.file = "x.csv"
		}
		if err := im.decode([]byte(text)); err == nil && im.finish() == nil && len(im.out.Rows) == 0 {
			t.Error("success without a row")
		}
	})
}
