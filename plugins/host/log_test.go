package host

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// printed feeds parts to a stream and returns what reaches the log.
func printed(limit int64, secret string, parts ...string) (log, tail string) {
	var out bytes.Buffer
	j := newJournal(&out, limit)
	s := &stream{to: j, secrets: newSecrets([]string{secret, ""})}
	for _, p := range parts {
		_, _ = s.Write([]byte(p))
	}
	s.flush()
	return out.String(), j.lastLines()
}

func TestJournal_OpenedLate(t *testing.T) {
	var out bytes.Buffer
	j := newJournal(nil, 0)
	j.write([]byte("before\n"))
	j.open(&out, 0)
	j.write([]byte("after\n"))
	if out.String() != "before\nafter\n" {
		t.Errorf("got %q", out.String())
	}
}

func TestStream_SecretInAnyTwoParts_IsRedacted(t *testing.T) {
	const secret, text = "s3cret-s3cret", "before s3cret-s3cret after s3cret-s3cre\n"
	for i := range len(text) {
		for k := i; k < len(text); k++ {
			log, tail := printed(0, secret, text[:i], text[i:k], text[k:])
			if log != "before *** after s3cret-s3cre\n" || strings.Contains(tail, secret) {
				t.Fatalf("cut at %d and %d: %q", i, k, log)
			}
		}
	}
}

func TestStream_SecretAcrossLines_IsRedacted(t *testing.T) {
	const secret = "-----BEGIN-----\nabc\n-----END-----"
	log, _ := printed(0, secret, "key: -----BEGIN-----\na", "bc\n-----END-----\n")
	if log != "key: ***\n" {
		t.Errorf("got %q", log)
	}
}

func TestSecrets_OneHoldsAnother(t *testing.T) {
	if got := newSecrets([]string{"abc", "abcdef"}).text("abcdef abc"); got != "*** ***" {
		t.Errorf("got %q", got)
	}
}

func TestStream_Lines(t *testing.T) {
	for _, c := range []struct {
		parts []string
		want  string
	}{
		{[]string{"a", "b\nc"}, "ab\nc\n"},
		{[]string{"10%\r", "20%\r"}, "10%\r20%\r"},
		{[]string{"\x83\x5c\n"}, "\x83\x5c\n"},
		{nil, ""},
	} {
		if log, _ := printed(0, "", c.parts...); log != c.want {
			t.Errorf("%q: got %q", c.parts, log)
		}
	}
}

func TestStream_EndlessLine_IsNotHeld(t *testing.T) {
	s := &stream{to: newJournal(nil, 0)}
	for range 100 {
		_, _ = s.Write(bytes.Repeat([]byte("x"), 50_000))
		if len(s.held) > 2*maxLine {
			t.Fatalf("holds %d bytes", len(s.held))
		}
	}
}

func TestJournal_LimitAndTail(t *testing.T) {
	var lines []string
	for i := range 5000 {
		lines = append(lines, fmt.Sprintf("line %04d\n", i))
	}
	log, tail := printed(1005, "", lines...)
	if !strings.HasPrefix(log, "line 0000\n") || !strings.HasSuffix(log, "\n[so8t: the log has reached 1005 bytes; the rest is dropped]\n") || len(log) > 1100 {
		t.Errorf("the log is %q", log)
	}
	if !strings.HasSuffix(tail, "line 4999") || !strings.HasPrefix(tail, "line ") || len(tail) > tailBytes {
		t.Errorf("the tail has %d bytes: %.40q", len(tail), tail)
	}
}

// full is a disk without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestJournal_FullDisk_StillRemembers(t *testing.T) {
	j := newJournal(full{}, 0)
	j.write([]byte("last words\n"))
	if j.lastLines() != "last words" {
		t.Errorf("got %q", j.lastLines())
	}
}

func FuzzStream(f *testing.F) {
	f.Add("a secret text\n", "secret", 4)
	f.Add("sesecret", "secret", 3)
	f.Fuzz(func(t *testing.T, text, secret string, cut int) {
		if cut < 0 || cut > len(text) || strings.Contains(redacted, secret) || strings.ContainsAny(secret, "*") {
			return
		}
		log, _ := printed(0, secret, text[:cut], text[cut:])
		want := string(newSecrets([]string{secret}).bytes([]byte(text)))
		if strings.TrimSuffix(log, "\n") != strings.TrimSuffix(want, "\n") {
			t.Errorf("%q cut at %d without %q: %q, want %q", text, cut, secret, log, want)
		}
	})
}

func FuzzHandshake(f *testing.F) {
	f.Add("1|1|unix|/run/x|grpc")
	f.Add("1|1|tcp|127.0.0.1:1|grpc|")
	f.Add("|||||")
	f.Fuzz(func(t *testing.T, line string) {
		err := checkHandshake(line)
		if err == nil && !strings.HasPrefix(line, "1|1|unix|/") && !strings.HasPrefix(line, "1|1|tcp|") {
			t.Errorf("%q was accepted", line)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%q gives an error of %d bytes", line, len(err.Error()))
		}
	})
}

func TestReadHandshake(t *testing.T) {
	for _, c := range []struct{ in, line, rest string }{
		{"1|1|unix|/x|grpc\nmore", "1|1|unix|/x|grpc", "more"},
		{"line\r\n", "line", ""},
		{"no end", "no end", ""},
		{strings.Repeat("y", 10_000), strings.Repeat("y", maxHandshake), ""},
	} {
		line, rest, _ := readHandshake(strings.NewReader(c.in))
		if line != c.line || string(rest) != c.rest {
			t.Errorf("%.20q: got %.20q and %q", c.in, line, rest)
		}
	}
}
