package console

import (
	"strings"
	"testing"
)

func TestColourFilter(t *testing.T) {
	text := "a\x1b[1;31mred\x1b[0m\tä é \u00a0日本\r\n\x1b[2J\x1b]0;title\a\x1b[5A\u009b2Jx\b\x7f\x00\x1b[" + strings.Repeat("1;", 40) + "m\x1bc\x1b[38;2;1;2;3mz\n"
	want := "a\x1b[1;31mred\x1b[0m\tä é \u00a0日本\r\n[2J]0;title[5A2Jx[" + strings.Repeat("1;", 40) + "mc\x1b[38;2;1;2;3mz\n"
	for size := 1; size <= len(text); size++ { // however it is cut into pieces
		var out strings.Builder
		f := NewColourFilter(&out)
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if wrote, err := f.Write([]byte(rest[:n])); wrote != n || err != nil {
				t.Fatalf("%d of %d written, %v", wrote, n, err)
			}
			rest = rest[n:]
		}
		if out.String() != want {
			t.Fatalf("in pieces of %d bytes:\n%q\nwant\n%q", size, out.String(), want)
		}
	}
}

func TestColumns_PluginsWords(t *testing.T) {
	c := NewTable("STAGE", "WHAT")
	c.Row("a", "\x1b[2Jgone\u202e\u009b1A")
	c.Row("b", "worse")
	var out strings.Builder
	c.Write(&out, Style{Color: true})
	if got := out.String(); strings.Contains(got, "\x1b[2J") || strings.ContainsAny(got, "\u202e\u009b") || !strings.Contains(got, "\x1b[31mworse") {
		t.Errorf("%q", got)
	}
}
