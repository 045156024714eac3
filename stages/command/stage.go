// Package command is a stage that runs any program: for those who have a script and no plugin.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/so8t/so8t/plugins"
)

// revision goes up when the same parameters give other outputs.
const revision = 1

var schema = sync.OnceValue(func() json.RawMessage { return plugins.SchemaOf(Config{}) })

// Stage implements plugins.Stage.
type Stage struct{}

var _ plugins.Stage = Stage{}

// Describe implements plugins.Stage. The outputs are those that the parameter outputs names.
func (Stage) Describe() plugins.Description {
	return plugins.Description{
		Name: "command", Version: "1.0.0", Kind: plugins.KindStage, Revision: revision,
		Help: "runs a program: a line for the shell, or a list", With: schema(),
	}
}

// Check implements plugins.Stage.
func (Stage) Check(_ context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	c, err := decode(req.With)
	if err != nil {
		return plugins.CheckReport{}, err
	}
	report := plugins.CheckReport{Problems: c.problems()}
	if len(report.Problems) > 0 {
		return report, nil
	}
	base, err := c.folder(req.ProjectDir)
	if err != nil {
		report.Problems = append(report.Problems, plugins.InputProblem("cwd", err))
		return report, nil
	}
	if err := c.findProgram(base); err != nil {
		report.Problems = append(report.Problems, plugins.Problem{Field: "run", Code: plugins.Unavailable, Message: err.Error()})
	}
	facts, err := c.namedFacts(base)
	if err != nil {
		report.Problems = append(report.Problems, plugins.InputProblem("run", err))
	}
	report.Facts = facts
	return report, nil
}

// folder is where relative paths in `run` start: cwd, else the project.
func (c Config) folder(project string) (string, error) {
	dir := filepath.FromSlash(c.Cwd)
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(project, dir)
	}
	if c.Cwd == "" {
		return dir, nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", plugins.Errorf(plugins.BadInput, "%q is not a folder", c.Cwd)
	}
	return dir, nil
}

// findProgram looks for the program of a list; a shell says itself what it does not find.
func (c Config) findProgram(base string) error {
	if _, isText := c.Run.(string); isText {
		return nil
	}
	words, err := c.words()
	if err != nil {
		return err
	}
	if _, changed := c.Env["PATH"]; changed {
		return nil
	}
	_, err = exec.LookPath(program(words[0], base))
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("there is no program %q on PATH", words[0])
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no program %q", words[0])
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%q is not executable: chmod +x it", words[0])
	}
	return err
}

// program is the first word of a list: with a slash it is relative to base.
func program(word, base string) string {
	if strings.ContainsAny(word, `/`+string(filepath.Separator)) && !filepath.IsAbs(word) {
		return filepath.Join(base, filepath.FromSlash(word))
	}
	return word
}
