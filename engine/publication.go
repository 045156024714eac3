package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/state"
)

// A publication is a copy of an output at a path that the user chose, in the project. It is a
// copy, not a hard link: whoever edits it must not damage the artifact. Where the file system can
// (btrfs, XFS, APFS by the copy call that the standard library uses), the copy shares its blocks.
//
// It is no part of any fingerprint and of no outcome: what goes wrong with it is a warning. Before
// something is put at a path, its digest is committed; what lies there with another digest is the
// user's and stays. After a crash the path holds what was there before or the whole new artifact.
type publication struct {
	output string
	path   string // relative to the project, with slashes
	pos    workflow.Pos
}

func publicationsOf(from []workflow.Publication) []publication {
	var out []publication
	for _, p := range from {
		out = append(out, publication{p.Output, p.Path, p.Pos})
	}
	return out
}

// announcePublications commits what is about to be put for n, with the transaction that makes its
// outputs true.
func (r *run) announcePublications(tx *state.Tx, n *node, outputs map[string]state.OutputRecord) error {
	for _, p := range n.publish {
		if o, made := outputs[p.output]; made {
			if err := tx.AddPublished(r.id, r.epoch, p.path, o.SHA256); err != nil {
				return err
			}
		}
	}
	return nil
}

// publishDone puts what was done before the run began, where it is missing.
func (r *run) publishDone(ctx context.Context) {
	for i, n := range r.nodes {
		switch r.results[i].outcome {
		case state.Succeeded, state.Cached:
			r.publish(ctx, n, r.results[i].outputs)
		}
	}
}

// publish puts the outputs of n where the workflow says. What a signal cuts off, the next run does.
func (r *run) publish(ctx context.Context, n *node, outputs map[string]state.OutputRecord) {
	for _, p := range n.publish {
		o, made := outputs[p.output]
		if !made {
			continue
		}
		put := false
		err := r.untilStopped(ctx, func(ctx context.Context) error {
			var err error
			put, err = r.put(ctx, p, o)
			return err
		})
		e := Event{Stage: n.stage, Instance: n.instance}
		switch {
		case err != nil && r.stopping(ctx):
			e.Kind, e.Message = Warned, fmt.Sprintf("publishing %s at %s was interrupted: the next run does it", p.output, p.path)
		case err != nil:
			e.Kind, e.Message = Warned, fmt.Sprintf("publishing %s at %s: %v", p.output, p.path, err)
		case put:
			e.Kind, e.Level, e.Message = Logged, "info", fmt.Sprintf("published %s at %s", p.output, p.path)
		default:
			continue
		}
		r.note(e)
		r.emit(e)
	}
}

// errForeign says that there is something that no engine has put there.
var errForeign = errors.New("something is there that so8t did not put there: it is left alone; move it away, or publish elsewhere")

// put makes the path hold the output; false when it does already. One engine at a time works on
// a path. A signal ends what may take long: waiting for another engine, and copying what is large.
func (r *run) put(ctx context.Context, p publication, o state.OutputRecord) (bool, error) {
	lock, err := state.LockFingerprint(ctx, r.e.store.Dir(), "publish "+p.path, state.Self(r.e.opts.Command, r.id), nil)
	if err != nil {
		return false, err
	}
	defer lock.Release() // nobody waits for an error here: the lock dies with the process anyway
	untilStopped := ctx
	ctx = context.WithoutCancel(ctx)
	target, err := r.e.insideProject(p.path)
	if err != nil {
		return false, err
	}
	var ours state.Published
	err = r.e.store.View(ctx, func(tx *state.Tx) error {
		var err error
		ours, _, err = tx.Published(p.path)
		return err
	})
	if err != nil {
		return false, err
	}
	there, err := r.e.contentOf(ctx, target)
	switch {
	case err != nil:
		return false, err
	case there == o.SHA256: // beside it may lie what an engine that was killed has exchanged it for
		return false, os.RemoveAll(besides(target))
	case there != "" && !slices.Contains(ours.SHA256, there):
		return false, errForeign
	}
	if len(ours.SHA256) == 0 || ours.SHA256[0] != o.SHA256 {
		err := r.update(ctx, func(tx *state.Tx) error { return tx.AddPublished(r.id, r.epoch, p.path, o.SHA256) })
		if err != nil {
			return false, err
		}
	}
	return true, r.e.place(untilStopped, r.e.inState(o.Path), target)
}

// insideProject is the place of a publication, unless links lead it out of the project.
func (e *Engine) insideProject(place string) (string, error) {
	target := filepath.Join(e.opts.ProjectDir, filepath.FromSlash(place))
	root, err := filepath.EvalSymlinks(e.opts.ProjectDir)
	if err != nil {
		return "", err
	}
	for dir := filepath.Dir(target); ; dir = filepath.Dir(dir) {
		real, err := filepath.EvalSymlinks(dir)
		if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
			continue
		}
		if err != nil {
			return "", err
		}
		if rel, err := filepath.Rel(root, real); err != nil || !filepath.IsLocal(rel) {
			return "", errors.New("a link leads it out of the project directory")
		}
		return target, nil
	}
}

// contentOf digests what is at a place; "" when nothing is. A link, or a folder with one, is
// nothing that an engine puts anywhere.
func (e *Engine) contentOf(ctx context.Context, target string) (string, error) {
	info, err := os.Lstat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return "", errForeign
	}
	sum, _, err := e.digest.path(ctx, target)
	if err != nil {
		return "", fmt.Errorf("%w (%w)", errForeign, err)
	}
	return sum, nil
}

// place puts a copy of an artifact at target, replacing what is there: a copy beside it, synced,
// then one rename.
func (e *Engine) place(ctx context.Context, artifact, target string) error {
	dir := filepath.Dir(target)
	if err := e.makeDurably(dir); err != nil {
		return err
	}
	temp := besides(target)
	if err := os.RemoveAll(temp); err != nil { // of an engine that was killed
		return err
	}
	if err := e.copyDurably(ctx, artifact, temp); err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	if err := e.replace(temp, target); err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	if err := e.disk.SyncDir(dir); err != nil {
		return err
	}
	return os.RemoveAll(temp) // holds what was replaced, where the two were exchanged
}

// besides is where what is to be put at target is made.
func besides(target string) string {
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".so8t-new")
}

// replace gives from the name to. A folder cannot replace another by a rename: the two are
// exchanged where the system can, and else there is a moment without either, after which the next
// run puts it again.
func (e *Engine) replace(from, to string) error {
	fromInfo, err := os.Lstat(from)
	if err != nil {
		return err
	}
	toInfo, err := os.Lstat(to)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !fromInfo.IsDir() && !toInfo.IsDir() {
		return e.disk.Rename(from, to)
	}
	if err != nil {
		return err
	}
	if err := e.crash.step("exchange", filepath.Base(to)); err != nil {
		return err
	}
	if exchange(from, to) == nil {
		return nil
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return e.disk.Rename(from, to)
}

// makeDurably makes a folder and makes its name, and those above it that are new, survive a power
// cut.
func (e *Engine) makeDurably(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := e.makeDurably(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return e.disk.SyncDir(filepath.Dir(dir))
}

// copyDurably copies a file or a folder and syncs it, bottom-up.
func (e *Engine) copyDurably(ctx context.Context, from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		// The artifact may be read-only; the copy is the user's.
		ours := func(mode fs.FileMode) fs.FileMode { return 0o666 | mode&0o111 }
		if err := plugins.CopyFile(ctx, from, to, ours); err != nil {
			return err
		}
		return e.disk.SyncFile(to)
	}
	if err := os.Mkdir(to, 0o777); err != nil {
		return err
	}
	for _, entry := range entries {
		if err := e.copyDurably(ctx, filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())); err != nil {
			return err
		}
	}
	return e.disk.SyncDir(to)
}

// publicationProblems are paths at which two instances would put something, and such that lie in
// the state.
func (p *planner) publicationProblems() []StageProblem {
	var out []StageProblem
	state := p.e.relative(p.e.store.Dir())
	taken := takenPaths{at: map[string]takenPath{}, below: map[string]takenPath{}}
	for _, n := range p.nodes {
		for _, pub := range n.publish {
			why := ""
			if overlap(pub.path, state) {
				why = "is in the folder of the state"
			}
			if t, ok := taken.take(pub.path, n); ok {
				why = fmt.Sprintf("is where stage %s publishes too (%s)", t.n.instance, t.path)
			}
			if why != "" {
				problem := n.problem(plugins.Problem{Code: plugins.BadInput, Message: fmt.Sprintf("publish: %s %s", pub.path, why)})
				problem.File, problem.Line, problem.Col = pub.pos.File, pub.pos.Line, pub.pos.Col
				out = append(out, problem)
			}
		}
	}
	return out
}

// takenPaths are those at which something is put, and the folders above them, with one that lies there.
type takenPaths struct{ at, below map[string]takenPath }

type takenPath struct {
	path string
	n    *node
}

// take adds a path, and returns one that overlaps with it.
func (t takenPaths) take(name string, n *node) (other takenPath, overlaps bool) {
	mine := takenPath{name, n}
	if other, overlaps = t.at[name]; !overlaps {
		other, overlaps = t.below[name]
	}
	t.at[name] = mine
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if above, there := t.at[dir]; there && !overlaps {
			other, overlaps = above, true
		}
		t.below[dir] = mine
	}
	return other, overlaps
}

// overlap: two paths are the same or one lies in the other.
func overlap(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}
