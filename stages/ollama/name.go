package ollama

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// Forms of a name's parts, as Ollama has them: [[HOST/]NAMESPACE/]MODEL[:TAG].
var (
	partForm      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$`)
	namespaceForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,79}$`)
	hostForm      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}$`)
)

// checkName refuses a name that a server would refuse, before anything is uploaded.
func checkName(name string) error {
	rest, tag := splitTag(name)
	parts := strings.Split(rest, "/")
	good := partForm.MatchString(parts[len(parts)-1]) && (tag == "" && !strings.HasSuffix(name, ":") || partForm.MatchString(tag)) && len(parts) <= 3
	if good && len(parts) > 1 {
		good = namespaceForm.MatchString(parts[len(parts)-2])
	}
	if good && len(parts) > 2 {
		good = hostForm.MatchString(parts[0])
	}
	if !good {
		return fmt.Errorf("model name %q: Ollama wants [NAMESPACE/]MODEL[:TAG] of letters, digits, '_', '-' and '.', each beginning with a letter, a digit or '_'", name)
	}
	return nil
}

// splitTag cuts what follows the last colon of the last part.
func splitTag(name string) (rest, tag string) {
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// owner identifies a project by where it is: what it has made on a server is its own to replace and
// to remove.
func owner(project string) string {
	sum := sha256.Sum256([]byte(project))
	return hex.EncodeToString(sum[:6])
}

// mark is the beginning of the template of a model that the owner made: a comment, which renders to
// nothing.
func mark(owner string) string { return "{{- /* made by so8t, project " + owner + " */ -}}" }

// trialName is where a model stays until it is proven.
func trialName(name, owner, digest string) string {
	rest, _ := splitTag(name)
	return rest + ":unproven-" + owner + "-" + digest[:12]
}

// replacedName is where the model that had a name before is put, to be removed.
func replacedName(name, owner string) string {
	rest, _ := splitTag(name)
	return rest + ":replaced-" + owner
}
