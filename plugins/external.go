package plugins

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// ExternalPath is the file, at the top of its output folder, in which a stage writes an External
// before it makes something that will stay outside of the project: then a collection finds it also
// when the stage was killed.
const ExternalPath = "external.json"

// External is a thing outside of the project that a stage made and left, such as a model on a server.
// Two attempts that left the same thing write the same values.
type External struct {
	// Kind says who can remove it: the Releaser of this kind.
	Kind string `json:"kind"`
	// Name is the thing's own name, Place where it is (an address, a folder).
	Name  string `json:"name"`
	Place string `json:"place"`
	// Digest tells it from what others have put under that name since.
	Digest string `json:"digest"`
}

// Declare writes down, durably, what the attempt is about to make outside of the project and leave
// there. The stage describes an optional, volatile output with the path ExternalPath.
func (a *Attempt) Declare(e External) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(a.OutputDir, ExternalPath))
	if err != nil {
		return fmt.Errorf("writing what will be left outside: %w", err)
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("writing what will be left outside: %w", err)
	}
	return nil
}

// Releaser removes what a project left outside, when no run of it is left that did. What is not there,
// or is no longer the project's, it leaves alone and returns "". Else it returns what it removed, in
// words; with dry it only looks.
type Releaser func(ctx context.Context, project string, e External, dry bool) (removed string, err error)
