package manifest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins/manifest"
)

var (
	sumA = strings.Repeat("a", 64)
	sumB = strings.Repeat("b", 64)
)

func TestLock_WrittenAndRead(t *testing.T) {
	var l manifest.Lock
	l.Pin("./z", []manifest.File{{Path: "z", SHA256: sumB}})
	l.Pin("./x/../y", []manifest.File{{Path: "b/c d", SHA256: sumB}, {Path: "a", SHA256: sumA}})
	text := l.Encode()
	_, body, _ := strings.Cut(string(text), "\n")
	if want := "\n./y\n  " + sumA + "  a\n  " + sumB + "  b/c d\n\n./z\n  " + sumB + "  z\n"; body != want {
		t.Errorf("got\n%s\nwant\n%s", body, want)
	}
	dir := t.TempDir()
	if got, err := manifest.ReadLock(dir); got != nil || err != nil {
		t.Errorf("without a file: %v, %v", got, err)
	}
	// A checkout on Windows may have other line ends.
	crlf := strings.ReplaceAll(string(text), "\n", "\r\n")
	if err := os.WriteFile(filepath.Join(dir, manifest.LockFileName), []byte(crlf), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := manifest.ReadLock(dir)
	if err != nil || string(got.Encode()) != string(text) {
		t.Errorf("read back: %s, %v", got.Encode(), err)
	}
}

func TestReadLock_Damaged(t *testing.T) {
	header, _, _ := strings.Cut(string((&manifest.Lock{}).Encode()), "\n")
	for text, want := range map[string]string{
		"":                                      "line 1",
		"so8t lock 2\n":                         "line 1",
		header + "\n  " + sumA + "  a\n":        "line 2",
		header + "\n./a\n./a\n":                 "line 3",
		header + "\n./a\n  " + sumA[1:] + "  a": "line 3",
		header + "\n<<<<<<< ours\n./a\n=======\n": "line 2",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, manifest.LockFileName), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := manifest.ReadLock(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestLock_Check(t *testing.T) {
	var l manifest.Lock
	l.Pin("./p", []manifest.File{{Path: "a", SHA256: sumA}, {Path: "b", SHA256: sumB}})
	a, b := manifest.File{Path: "a", SHA256: sumA}, manifest.File{Path: "b", SHA256: sumB}
	for name, c := range map[string]struct {
		uses  string
		files []manifest.File
		want  string
	}{
		"as pinned":          {"./p", []manifest.File{b, a}, ""},
		"by another name":    {"./x/../p/", []manifest.File{b, a}, ""},
		"changed":            {"./p", []manifest.File{a, {Path: "b", SHA256: sumA}}, `"b" changed: sha256 aaaaaaaaaaaa… instead of bbbbbbbbbbbb…`},
		"new":                {"./p", []manifest.File{a, b, {Path: "c", SHA256: sumA}}, `"c" is new`},
		"gone":               {"./p", []manifest.File{a}, `"b" is gone`},
		"a plugin not in it": {"./q", nil, "does not pin it"},
	} {
		err := l.Check(c.uses, c.files)
		var refused *manifest.LockError
		if (err == nil) != (c.want == "") || err != nil && (!errors.As(err, &refused) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	var none *manifest.Lock
	if err := none.Check("./p", nil); err != nil {
		t.Errorf("without a lock: %v", err)
	}
}
