package ollama

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/so8t/so8t/plugins"
)

// Kind of what this stage leaves outside of a project: models on a server.
const Kind = "ollama"

// external says what will stay of the model on the server; false when it ends with the server that
// the stage starts.
func (s *session) external(o offer) (plugins.External, bool) {
	x := plugins.External{Kind: Kind, Name: s.c.Name, Place: s.cl.base, Digest: o.digest}
	if s.c.host() == "" {
		x.Place = s.c.Models
	}
	return x, x.Place != ""
}

// declare writes down what the stage is about to make outside of the project.
func (s *session) declare(o offer) error {
	x, stays := s.external(o)
	if !stays {
		return nil
	}
	return s.a.Declare(x)
}

// Release removes the model that a project made, from the server that has it; one that was started
// for the folder of models is started again for this.
func Release(ctx context.Context, project string, x plugins.External, dry bool) (removed string, err error) {
	c := Config{Host: x.Place, Patience: releasePatience}
	if filepath.IsAbs(x.Place) {
		c.Host, c.Models = "", x.Place
		if _, err := os.Stat(x.Place); os.IsNotExist(err) {
			return "", nil // somebody has deleted the folder
		}
	}
	scratch, err := os.MkdirTemp("", "so8t-ollama-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	cl, stop, err := reach(ctx, c, scratch)
	if err != nil {
		return "", err
	}
	defer stop()
	own := owner(project)
	for _, name := range []string{x.Name, trialName(x.Name, own, x.Digest), replacedName(x.Name, own)} {
		there, err := cl.look(ctx, name)
		if err != nil {
			return removed, err
		}
		if there == nil || !there.of(own) || !there.holds(x.Digest) {
			continue // not there, or another's, or made anew since
		}
		if !dry {
			if err := cl.remove(ctx, name); err != nil {
				return removed, cl.explain(fmt.Sprintf("removing model %q", name), err)
			}
		}
		removed = fmt.Sprintf("model %q of Ollama", x.Name)
	}
	return removed, nil
}

// releasePatience, in seconds: nothing is loaded for this.
const releasePatience = 30

// reach is connect, but for a folder of models also where OLLAMA_HOST names a server.
func reach(ctx context.Context, c Config, scratch string) (*client, func(), error) {
	if c.Host != "" {
		return connect(ctx, c, scratch)
	}
	program, err := exec.LookPath("ollama")
	if err != nil {
		return nil, nil, plugins.Errorf(plugins.Unavailable, "%w", errNoServer)
	}
	return startSomewhere(ctx, program, c, scratch)
}
