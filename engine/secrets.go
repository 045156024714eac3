package engine

import (
	"slices"
	"strings"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins"
)

// secretMark stands in the value of a variable where a secret goes: in fingerprints and records,
// which secrets never enter. No file holds it, for the language refuses zero bytes.
func secretMark(name string) string { return "\x00secret " + name + "\x00" }

// envText is a variable's value with marks for secrets.
func envText(v *workflow.Value) string {
	switch v.Kind {
	case workflow.Secret:
		return secretMark(v.Text)
	case workflow.Concat:
		var b strings.Builder
		for _, p := range v.Parts {
			b.WriteString(envText(p))
		}
		return b.String()
	}
	return v.Text
}

// secretsIn adds the secrets that a variable's value holds: a stage receives them by that alone.
func secretsIn(v *workflow.Value, names []string) []string {
	if v.Kind == workflow.Secret && !slices.Contains(names, v.Text) {
		return append(names, v.Text)
	}
	for _, part := range v.Parts {
		names = secretsIn(part, names)
	}
	return names
}

// secretValues reads the secrets of n from the engine's environment. With the error for one that is
// not there come the others, and "" for it: enough for a Check, whose facts do not hang on secrets.
func (e *Engine) secretValues(n *node) (map[string]string, error) {
	if len(n.secrets) == 0 {
		return nil, nil
	}
	values := map[string]string{}
	var missing error
	for _, name := range n.secrets {
		v := e.opts.Getenv(name)
		if v == "" && missing == nil {
			missing = plugins.Errorf(plugins.Unavailable, "secret %s: the environment has no variable of that name", name)
		}
		values[name] = v
	}
	return values, missing
}

// knownSecrets are the values of declared secrets, as far as the environment has them.
func (e *Engine) knownSecrets(names []string) []string {
	var values []string
	for _, name := range names {
		if v := e.opts.Getenv(name); v != "" {
			values = append(values, v)
		}
	}
	return values
}

// environment is n's env with its secrets in their places.
func (n *node) environment(secrets map[string]string) map[string]string {
	if len(n.env) == 0 || len(secrets) == 0 {
		return n.env
	}
	out := make(map[string]string, len(n.env))
	for name, value := range n.env {
		for secret, text := range secrets {
			value = strings.ReplaceAll(value, secretMark(secret), text)
		}
		out[name] = value
	}
	return out
}
