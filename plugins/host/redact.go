package host

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"
)

// redacted stands where a secret was.
const redacted = "***"

// secrets replaces texts that must not be seen; longest first, so that one which holds
// another goes as a whole.
type secrets [][]byte

func newSecrets(texts []string) secrets {
	var s secrets
	for _, t := range texts {
		for _, form := range formsOf(t) {
			s = append(s, []byte(form))
		}
	}
	slices.SortFunc(s, func(a, b []byte) int { return len(b) - len(a) })
	return s
}

func (s secrets) bytes(b []byte) []byte {
	for _, secret := range s {
		b = bytes.ReplaceAll(b, secret, []byte(redacted))
	}
	return b
}

func (s secrets) text(t string) string {
	if len(s) == 0 {
		return t
	}
	return string(s.bytes([]byte(t)))
}

// names replaces secrets in the names of numbers.
func (s secrets) names(values map[string]float64) map[string]float64 {
	if len(s) == 0 {
		return values
	}
	out := make(map[string]float64, len(values))
	for name, value := range values {
		out[s.text(name)] = value
	}
	return out
}

// fields replaces secrets in the names and texts of a JSON object.
func (s secrets) fields(object map[string]any) map[string]any {
	if len(s) == 0 || object == nil {
		return object
	}
	out := make(map[string]any, len(object))
	for name, value := range object {
		out[s.text(name)] = s.value(value)
	}
	return out
}

func (s secrets) value(v any) any {
	switch v := v.(type) {
	case string:
		return s.text(v)
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = s.value(item)
		}
		return items
	case map[string]any:
		return s.fields(v)
	}
	return v
}

// pending is how many bytes at the end of b could be the beginning of a secret.
func (s secrets) pending(b []byte) int {
	most := 0
	for _, secret := range s {
		for n := min(len(secret)-1, len(b)); n > most; n-- {
			if bytes.HasSuffix(b, secret[:n]) {
				most = n
				break
			}
		}
	}
	return most
}

// minEncoded is the length from which the encoded forms of a secret are hidden too. Those of a shorter
// one would be found in texts that have nothing to do with it.
const minEncoded = 6

// formsOf are the ways in which programs show a secret: as it is, and as it stands in an address, in
// JSON, and in base64 when it is encoded by itself. As a part of a longer text that is encoded as a
// whole (a basic authorisation's name and password) it is not found.
func formsOf(secret string) []string {
	if secret == "" {
		return nil
	}
	forms := []string{secret}
	if len(secret) < minEncoded {
		return forms
	}
	encoded := []string{
		url.QueryEscape(secret), url.PathEscape(secret),
		base64.RawStdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
	for _, escapeHTML := range []bool{true, false} { // Go's way, and that of others
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(escapeHTML)
		if e.Encode(secret) == nil {
			encoded = append(encoded, strings.TrimSuffix(text.String(), "\"\n")[1:])
		}
	}
	for _, form := range encoded {
		if !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	return forms
}

// Redact replaces secrets, in all forms that are known of them, in a text.
func Redact(text string, secrets []string) string { return newSecrets(secrets).text(text) }

// Redacting returns a writer for what a program prints: it replaces secrets, also when they arrive in
// two parts, and passes on no more than limit bytes. Close writes what it has held back.
func Redacting(w io.Writer, secrets []string, limit int64) io.WriteCloser {
	j := newJournal(w, limit)
	return &redacting{stream{to: j, secrets: newSecrets(secrets)}}
}

type redacting struct{ stream }

// Close implements io.Closer; it does not close what is written to.
func (r *redacting) Close() error {
	r.flush()
	r.to.close()
	return nil
}
