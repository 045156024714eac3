package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/so8t/so8t/plugins"
)

// Run implements plugins.Stage.
func (Stage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	c, err := decode(a.With)
	if err != nil {
		return plugins.Result{}, err
	}
	if ps := c.problems(); len(ps) > 0 {
		return plugins.Result{}, plugins.Errorf(ps[0].Code, "%s", ps[0].Message)
	}
	base, err := c.folder(a.ProjectDir)
	if err != nil {
		return plugins.Result{}, plugins.Errorf(plugins.BadInput, "cwd: %w", err)
	}
	dir := base
	if c.Cwd == "" {
		if dir, err = a.Scratch(); err != nil {
			return plugins.Result{}, err
		}
		if err := c.link(ctx, base, dir); err != nil {
			return plugins.Result{}, fmt.Errorf("preparing the working folder: %w", err)
		}
	}
	before := c.stale(dir)
	if err := c.makeFolders(dir); err != nil {
		return plugins.Result{}, err
	}
	if err := c.execute(ctx, a, base, dir); err != nil {
		return plugins.Result{}, err
	}
	return plugins.Result{}, c.publish(ctx, a, dir, before)
}

// execute runs the program and waits for it.
func (c Config) execute(ctx context.Context, a *plugins.Attempt, base, dir string) error {
	words, err := c.words()
	if err != nil {
		return err
	}
	cmd := plugins.Shell(ctx, words[0])
	if _, isText := c.Run.(string); !isText {
		cmd = plugins.Command(ctx, program(words[0], base), words[1:]...)
	}
	cmd.Dir = dir
	cmd.Env = append(variables(a.Secrets), c.environment(os.Environ(), dir, a.ProjectDir)...) // the later of two wins
	last := &tail{to: os.Stderr}
	cmd.Stdout, cmd.Stderr = os.Stderr, last // all of it is the attempt's log
	if err := cmd.Start(); err != nil {
		return plugins.Errorf(plugins.Unavailable, "starting %q: %w", words[0], err)
	}
	over := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		select {
		case <-over:
		case <-a.Stop:
			_ = cmd.Terminate() // it may have ended; after the grace time ctx kills it
		}
	}()
	err = cmd.Wait()
	close(over)
	<-told
	if errors.Is(err, exec.ErrWaitDelay) {
		a.Warn("it ended, but left a process running that holds its output open; that is killed now")
		err = nil
	}
	switch {
	case a.Stopping(), ctx.Err() != nil: // also with exit status 0: half of its work may be missing
		return plugins.Errorf(plugins.Cancelled, "asked to stop")
	case err != nil:
		return failure(err, last)
	}
	return nil
}

// failure says how the program ended, with its last words.
func failure(err error, last *tail) error {
	lines := last.lines()
	message := err.Error() // "exit status 3", "signal: killed"
	if len(lines) > 0 {
		message += ": " + shorten(lines[len(lines)-1])
	}
	return &plugins.Error{Code: plugins.Crashed, Message: message, Detail: strings.Join(lines, "\n")}
}

const maxLastLine = 200

func shorten(line string) string {
	if r := []rune(line); len(r) > maxLastLine {
		return string(r[:maxLastLine]) + " …"
	}
	return line
}

// variables are the stage's `secrets` under their own names.
func variables(secrets map[string]string) []string {
	var env []string
	for name, value := range secrets {
		env = append(env, name+"="+value)
	}
	return env
}

// ours are the variables that concern the plugin and not its program.
var ours = []string{
	"SO8T_PLUGIN", "SO8T_PLUGIN_BUILD", "SO8T_CRASH_STAGE", "SO8T_BACKEND", "SO8T_BLAS", "SO8T_LOG",
	"PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT", "PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_UNIX_SOCKET_DIR", "PLUGIN_UNIX_SOCKET_GROUP",
	"PLUGIN_CLIENT_CERT", "PLUGIN_MULTIPLEX_GRPC",
}

// environment is what the program gets: the stage's own variables but for those of the protocol,
// the paths of inputs and outputs, and `env`, which wins.
func (c Config) environment(own []string, dir, project string) []string {
	env := slices.DeleteFunc(slices.Clone(own), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(ours, name)
	})
	env = append(env, "SO8T_PROJECT_DIR="+project)
	for name, input := range c.Inputs {
		all, _ := paths(input) // problems has seen it
		env = append(env, variable("INPUT", name)+"="+strings.Join(all, "\n"))
	}
	for name, path := range c.Outputs {
		env = append(env, variable("OUTPUT", name)+"="+in(dir, path))
	}
	for name, v := range c.Env {
		text, _ := scalar(v) // problems has seen it
		env = append(env, name+"="+text)
	}
	return env
}
