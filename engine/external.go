package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
)

// externalName is the folder of the state that lists what stages left outside: an entry is there from
// before its last run is removed until the thing is.
const externalName = "external"

// externals are what stages left outside of the project, by the digest of their record.
type externals map[string]plugins.External

func (x externals) add(raw []byte) {
	var e plugins.External
	if json.Unmarshal(raw, &e) != nil || e.Kind == "" {
		return // cut off while it was written: then nothing had been made yet
	}
	raw, _ = json.Marshal(e) // strings
	sum := sha256.Sum256(raw)
	x[hex.EncodeToString(sum[:])] = e
}

// madeOutside is what the attempts that are there say, but those below the removed paths.
func (e *Engine) madeOutside(removed []string) (externals, error) {
	paths, err := filepath.Glob(e.inState(filepath.Join("runs", "*", "stages", "*", "*", "out", plugins.ExternalPath)))
	if err != nil {
		return nil, err
	}
	found := externals{}
	for _, path := range paths {
		below := func(folder string) bool { return strings.HasPrefix(path, e.inState(folder)+string(filepath.Separator)) }
		if slices.ContainsFunc(removed, below) {
			continue
		}
		if raw, err := os.ReadFile(path); err == nil { // else a collection has just removed it
			found.add(raw)
		}
	}
	return found, nil
}

// remembered is what the list holds.
func (e *Engine) remembered() (externals, error) {
	paths, err := filepath.Glob(filepath.Join(e.inState(externalName), "*.json"))
	if err != nil {
		return nil, err
	}
	found := externals{}
	for _, path := range paths {
		if raw, err := os.ReadFile(path); err == nil {
			found.add(raw)
		}
	}
	return found, nil
}

func (e *Engine) externalPath(digest string) string {
	return filepath.Join(e.inState(externalName), digest+".json")
}

// rememberOutside puts on the list what attempts left outside, before a collection removes them.
func (e *Engine) rememberOutside() error {
	if len(e.opts.Releasers) == 0 {
		return nil
	}
	found, err := e.madeOutside(nil)
	if err != nil || len(found) == 0 {
		return err
	}
	if err := e.makeDurably(e.inState(externalName)); err != nil {
		return err
	}
	for digest, x := range found {
		if _, err := os.Stat(e.externalPath(digest)); err == nil {
			continue
		}
		raw, err := json.Marshal(x)
		if err == nil {
			err = manifest.WriteDurably(manifest.OS, e.externalPath(digest), raw)
		}
		if err != nil {
			return fmt.Errorf("listing what a stage left outside: %w", err)
		}
	}
	return nil
}

// releaseOutside removes what was left outside by attempts that are no more: of a dry run, those below
// the removed paths. What cannot be removed now stays on the list.
func (e *Engine) releaseOutside(ctx context.Context, view *GCView, removed []string, dry bool) error {
	if len(e.opts.Releasers) == 0 {
		return nil
	}
	used, err := e.madeOutside(removed)
	if err != nil {
		return err
	}
	all, err := e.remembered()
	if err != nil {
		return err
	}
	if dry {
		found, err := e.madeOutside(nil)
		if err != nil {
			return err
		}
		for digest, x := range found {
			all[digest] = x
		}
	}
	for digest, x := range all {
		if _, inUse := used[digest]; inUse {
			continue
		}
		release, known := e.opts.Releasers[x.Kind]
		if !known {
			continue
		}
		what, err := release(ctx, e.opts.ProjectDir, x, dry)
		if err != nil {
			view.Failed = append(view.Failed, fmt.Sprintf("%s %q at %s: %v", x.Kind, x.Name, x.Place, err))
			continue
		}
		if what != "" {
			view.Removed = append(view.Removed, RemovedView{Path: x.Place, Why: what + ", made by a run that is gone"})
		}
		if dry {
			continue
		}
		if err := os.Remove(e.externalPath(digest)); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("taking what was removed from the list: %w", err)
		}
	}
	return nil
}
