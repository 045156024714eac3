package ollama

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"github.com/so8t/so8t/plugins"
)

// oldest is the first version with what this stage asks for: the log-probabilities of a token.
var oldest = [3]int{0, 12, 11}

var versionForm = regexp.MustCompile(`^v?(\d+)\.(\d+)\.(\d+)`)

// checkVersion refuses a server that is too old. A build from a source tree calls itself 0.0.0, and
// a form that is not known says nothing: these are tried.
func checkVersion(version, where string) error {
	m := versionForm.FindStringSubmatch(version)
	if m == nil {
		return nil
	}
	var v [3]int
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1]) // digits
	}
	if v == [3]int{} || slices.Compare(v[:], oldest[:]) >= 0 {
		return nil
	}
	return plugins.Errorf(plugins.Unavailable, "Ollama %s at %s is too old: %d.%d.%d or newer is needed; update it, or let OLLAMA_HOST name another",
		version, where, oldest[0], oldest[1], oldest[2])
}

// version asks the server for its version, and refuses one that is too old.
func (c *client) version(ctx context.Context) (string, error) {
	var answer struct{ Version string }
	err := c.get(ctx, http.MethodGet, "/api/version", nil, &answer)
	var refused *refusal
	var cut *cutError
	switch {
	case errors.As(err, &refused) && refused.status == http.StatusForbidden:
		return "", plugins.Errorf(plugins.Unavailable, "the Ollama server at %s does not answer to that host name (403): give its address as 127.0.0.1, or let it listen there", c.base)
	case errors.As(err, &refused), errors.As(err, &cut), err == nil && answer.Version == "":
		return "", plugins.Errorf(plugins.Unavailable, "what listens at %s is no Ollama server: let OLLAMA_HOST name one, or unset it", c.base)
	case err != nil:
		return "", c.explain("asking Ollama for its version", err)
	}
	return answer.Version, checkVersion(answer.Version, c.base)
}
