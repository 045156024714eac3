package host

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

func TestRedact_EncodedForms(t *testing.T) {
	const secret = "p/s s+\"w0rd\"?"
	for name, text := range map[string]string{
		"plain": secret, "query": url.QueryEscape(secret), "path": url.PathEscape(secret), "json": `p/s s+\"w0rd\"?`,
		"base64": base64.StdEncoding.EncodeToString([]byte(secret)), "base64url": base64.URLEncoding.EncodeToString([]byte(secret)),
	} {
		if got := Redact("a "+text+" z", []string{secret}); !strings.HasPrefix(got, "a ***") || strings.Contains(got, strings.TrimRight(text, "=")) {
			t.Errorf("%s: %q became %q", name, text, got)
		}
	}
	for _, text := range []string{`p\u003cw0rd\"`, `p<w0rd\"`} { // as Go and as others write JSON
		if got := Redact("a "+text+" z", []string{`p<w0rd"`}); got != "a *** z" {
			t.Errorf("%s became %q", text, got)
		}
	}
	if got := Redact("YWI ab", []string{"ab"}); got != "YWI ***" {
		t.Errorf("a short secret: %q", got)
	}
}

func TestRedacting_SplitAndBounded(t *testing.T) {
	var b bytes.Buffer
	w := Redacting(&b, []string{"hunter2"}, 20)
	for _, part := range []string{"say hun", "ter", "2\n", "12345678901234567890"} {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.HasPrefix(got, "say ***\n123456789012\n[so8t: the log has reached 20 bytes") {
		t.Errorf("got %q", got)
	}
}
