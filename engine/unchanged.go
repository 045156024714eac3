package engine

import (
	"context"
	"fmt"
	"os"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
)

// What the user may change while a run goes on, input files and the files of foreign plugins, is
// looked at three times: for the plan, when the node's turn has come, and when its stage has ended.
// Only what was the same the last two times is known to be what the stage read; nothing else may
// be found again under the fingerprint.

// readInputs digests the paths that the node names itself, now that it is to run. True when they
// are not what they were for the plan.
func (w *work) readInputs(ctx context.Context) (stale bool) {
	w.inputs = pathDigests{}
	if w.unusable = w.n.plugin.unchanged(); w.unusable != nil {
		w.inputs = w.r.plan.paths
		return false
	}
	if err := w.r.e.digestInputs(context.WithoutCancel(ctx), w.inputs, w.n); err != nil {
		w.unusable = plugins.Errorf(plugins.BadInput, "reading inputs: %w", err)
		w.inputs = w.r.plan.paths
		return false
	}
	for path, sum := range w.inputs {
		stale = stale || sum != w.r.plan.paths[path]
	}
	return stale
}

// unchanged is an error when an input is not what the node's fingerprint says.
func (w *work) unchanged(ctx context.Context) error {
	if err := w.n.plugin.unchanged(); err != nil {
		return err
	}
	if len(w.inputs) == 0 {
		return nil
	}
	now := pathDigests{}
	if err := w.r.e.digestInputs(context.WithoutCancel(ctx), now, w.n); err != nil {
		return plugins.Errorf(plugins.BadInput, "reading inputs again: %w", err)
	}
	for _, path := range sortedKeys(now) {
		if now[path] != w.inputs[path] {
			return plugins.Errorf(plugins.BadInput, "input %s changed while the stage ran; run again", w.r.e.relative(path))
		}
	}
	return nil
}

// unchanged is an error when a foreign plugin's files are not what they were when it described
// itself.
func (p *pluginInfo) unchanged() error {
	if !p.foreign() {
		return nil
	}
	found, err := manifest.ReadPlugin(p.path)
	if err != nil {
		return plugins.Errorf(plugins.BadInput, "%w", err)
	}
	digest, _, err := found.Digest()
	if err != nil {
		return plugins.Errorf(plugins.BadInput, "%w", err)
	}
	if digest != p.digest {
		return plugins.Errorf(plugins.BadInput, "plugin %s changed after the workflow was read; run again", p.uses)
	}
	return nil
}

// fresh is an error once an input was seen to have changed since the attempt began, even if it has
// been changed back.
func (a *attempt) fresh(ctx context.Context) error {
	if a.unusable == nil {
		a.unusable = a.unchanged(ctx)
	}
	return a.unusable
}

// freshCheckpoint removes the checkpoint in folder when an input changed before it was saved: it
// would be gone on from under a fingerprint that it does not belong to.
func (a *attempt) freshCheckpoint(ctx context.Context, folder string) error {
	changed := a.fresh(ctx)
	if changed == nil {
		return nil
	}
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("removing a checkpoint of changed inputs: %w", err)
	}
	return changed
}
