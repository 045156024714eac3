package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// verify looks whether the outputs that decisions would reuse are still what was committed; true
// when some are not, which changes what is decided.
func (p *planner) verify(ctx context.Context, decisions []decision) (bool, error) {
	errs := make([]error, len(decisions))
	parallel(min(p.e.opts.Jobs, 8), len(decisions), func(i int) {
		d := decisions[i]
		if d.action == ActionReuse && !p.sound[d.identity.fingerprint] {
			errs[i] = p.e.verifyEntry(ctx, d.entry)
		}
	})
	news := false
	for i, err := range errs {
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case err != nil:
			p.damaged[p.nodes[i].instance] = damageText(err, decisions[i].entry)
			news = true
		case decisions[i].action == ActionReuse:
			p.sound[decisions[i].identity.fingerprint] = true
		}
	}
	return news, nil
}

// damageText is the reason of a stage whose outputs are no longer what was committed:
// output damaged: model/weights: size 12 → 10 (run …).
func damageText(err error, entry state.CacheEntry) string {
	what := err.Error()
	var d *manifest.Difference
	if errors.As(err, &d) {
		what = d.Path + map[manifest.DifferenceKind]string{
			manifest.FileMissing: " is missing", manifest.FileAdded: " is not of the stage",
			manifest.OtherSize: fmt.Sprintf(": size %d → %d", d.Want, d.Have), manifest.OtherContent: ": its content is another",
		}[d.Kind]
	}
	return fmt.Sprintf("output damaged: %s (run %s)", what, entry.Run)
}

// verifyEntry compares the outputs of a cache entry with their manifest, and that with the entry.
func (e *Engine) verifyEntry(ctx context.Context, entry state.CacheEntry) error {
	dir := e.entryFolder(entry)
	m, err := e.digest.verify(ctx, dir.out(), e.opts.Verify)
	if err != nil {
		return err
	}
	for name, o := range entry.Outputs {
		sealed, ok := m.Output(name)
		if !ok || sealed.SHA256 != o.SHA256 {
			return fmt.Errorf("output %q is not the one that was committed", name)
		}
	}
	return nil
}

// entryFolder is the attempt's folder that holds an entry's outputs. What a cached stage reuses may
// be the work of an instance of another name, which only the outputs' paths tell.
func (e *Engine) entryFolder(entry state.CacheEntry) attemptFolder {
	for _, o := range entry.Outputs {
		const depth = 5 // runs, ID, stages, INSTANCE, NUMBER
		if parts := strings.Split(o.Path, "/"); len(parts) > depth {
			return attemptFolder(e.inState(strings.Join(parts[:depth], "/")))
		}
	}
	return attemptDir(e.store.Dir(), entry.Run, entry.Instance, entry.Attempt)
}
