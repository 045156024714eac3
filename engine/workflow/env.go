package workflow

import "fmt"

// ResolveEnv gives the variables of a stage's process. secret reads a declared secret, at the
// time the stage starts; a missing one is an error that names the variable.
func ResolveEnv(env []EnvVar, secret func(name string) (string, bool)) (map[string]string, error) {
	out := make(map[string]string, len(env))
	for _, v := range env {
		text := ""
		parts := []*Value{v.Value}
		if v.Value.Kind == Concat {
			parts = v.Value.Parts
		}
		for _, p := range parts {
			if p.Kind != Secret {
				text += p.Text
				continue
			}
			value, ok := secret(p.Text)
			if !ok {
				return nil, fmt.Errorf("setting variable %q: the secret %q is not in the environment", v.Name, p.Text)
			}
			text += value
		}
		out[v.Name] = text
	}
	return out, nil
}
