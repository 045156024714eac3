package command

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/so8t/so8t/plugins"
)

// Config is the stage's `with`.
type Config struct {
	Run     any               `json:"run" required:"true" help:"the program: a text for the shell (sh -e, cmd on Windows), or a list of program and arguments. Files of the project that it names are part of the fingerprint; other files that it reads belong in inputs"`
	Inputs  map[string]any    `json:"inputs" format:"path" help:"files and folders it reads, by name; the program finds their paths in SO8T_INPUT_NAME, those of a list one a line"`
	Outputs map[string]string `json:"outputs" outputs:"true" help:"files and folders it writes, by name, relative to its working folder (SO8T_OUTPUT_NAME); other stages read them as ${stages.STAGE.outputs.NAME}"`
	Env     map[string]any    `json:"env" help:"variables: texts, numbers, true or false"`
	Cwd     string            `json:"cwd" default:"" help:"working folder, relative to the project; without it an empty one that is deleted afterwards"`
}

func decode(with json.RawMessage) (Config, error) {
	var c Config
	err := plugins.DecodeWith(with, &c)
	return c, err
}

// words are the program and its arguments, or one text for the shell.
func (c Config) words() ([]string, error) {
	switch run := c.Run.(type) {
	case string:
		if strings.TrimSpace(run) == "" {
			return nil, fmt.Errorf("run is empty")
		}
		return []string{run}, nil
	case []any:
		words := make([]string, len(run))
		for i, word := range run {
			text, ok := scalar(word)
			if !ok {
				return nil, fmt.Errorf("run: item %d is no text", i+1)
			}
			words[i] = text
		}
		if len(words) > 0 && words[0] != "" {
			return words, nil
		}
	}
	return nil, fmt.Errorf("run: want a text for the shell, or a list of the program and its arguments")
}

func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

// paths are those of an input: one, or a list, as the instances of a matrix give.
func paths(input any) ([]string, bool) {
	switch v := input.(type) {
	case string:
		return []string{v}, true
	case []any:
		out := make([]string, len(v))
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil, false
			}
			out[i] = text
		}
		return out, true
	}
	return nil, false
}

// name is what a reference to an output may hold, and what a variable can be made of.
var name = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// variable is the environment variable that holds the path of an input or output.
func variable(kind, name string) string {
	return "SO8T_" + kind + "_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// problems are what is wrong with the parameters, wherever they are used.
func (c Config) problems() []plugins.Problem {
	var ps []plugins.Problem
	bad := func(field, format string, args ...any) {
		ps = append(ps, plugins.Problem{Field: field, Code: plugins.BadInput, Message: fmt.Sprintf(format, args...)})
	}
	if _, err := c.words(); err != nil {
		bad("run", "%v", err)
	}
	for kind, names := range map[string][]string{
		"inputs": slices.Sorted(maps.Keys(c.Inputs)), "outputs": slices.Sorted(maps.Keys(c.Outputs)),
	} {
		ps = append(ps, badNames(kind, names)...)
	}
	for _, n := range slices.Sorted(maps.Keys(c.Inputs)) {
		if _, ok := paths(c.Inputs[n]); !ok {
			bad("inputs."+n, "want a path or a list of paths")
		}
	}
	for _, n := range slices.Sorted(maps.Keys(c.Outputs)) {
		if p := clean(c.Outputs[n]); !fs.ValidPath(p) || p == "." {
			bad("outputs."+n, "%q is no file or folder below the working folder", c.Outputs[n])
		}
	}
	for _, n := range slices.Sorted(maps.Keys(c.Env)) {
		if _, ok := scalar(c.Env[n]); !ok || n == "" || strings.ContainsAny(n, "=\x00") {
			bad("env", "the variable %q: want a text, a number, true or false", n)
		}
	}
	return ps
}

// clean is a path as Description.OutputsOf gives it.
func clean(p string) string { return path.Clean(strings.ReplaceAll(p, `\`, "/")) }

// badNames are names of inputs or outputs of which no variable can be made.
func badNames(kind string, names []string) []plugins.Problem {
	var ps []plugins.Problem
	bad := func(format string, args ...any) {
		ps = append(ps, plugins.Problem{Field: kind, Code: plugins.BadInput, Message: fmt.Sprintf(format, args...)})
	}
	seen := map[string]string{}
	for _, n := range names {
		v := variable("", n)
		switch {
		case !name.MatchString(n):
			bad("the name %q: want letters, digits, _ and -, a letter first", n)
		case seen[v] != "":
			bad("%q and %q give the same variable", seen[v], n)
		}
		seen[v] = n
	}
	return ps
}
