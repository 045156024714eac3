package sdk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
)

// publisher makes the checkpoints of one attempt durable.
type publisher struct {
	disk manifest.Disk
	dir  string

	mu      sync.Mutex
	entered bool // dir itself is durable in its parent
}

// publish writes a checkpoint into a temporary folder, seals it and renames it to
// step-NNNNNNNNNNNN. A crash leaves either no such folder or a whole one. A step that is
// there already is not written again.
func (p *publisher) publish(ctx context.Context, c plugins.Checkpoint, write func(dir string) error) (plugins.Checkpoint, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return c, err
	}
	if c.Step < 0 {
		return c, plugins.Errorf(plugins.Internal, "saving a checkpoint: the step %d is negative", c.Step)
	}
	c.Path = filepath.Join(p.dir, fmt.Sprintf("step-%012d", c.Step))
	switch _, err := os.Lstat(c.Path); {
	case err == nil:
		return c, nil
	case !errors.Is(err, fs.ErrNotExist):
		return c, err
	}
	if err := p.fill(c.Path, write); err != nil {
		return c, plugins.Errorf(plugins.CodeOf(err), "saving the checkpoint of step %d: %w", c.Step, err)
	}
	return c, nil
}

func (p *publisher) fill(final string, write func(dir string) error) (err error) {
	if err := p.enter(); err != nil {
		return err
	}
	temp := filepath.Join(p.dir, "."+filepath.Base(final)+".tmp")
	if err := os.RemoveAll(temp); err != nil {
		return err
	}
	if err := os.Mkdir(temp, 0o755); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(temp) // the error that led here matters more
		}
	}()
	if err := write(temp); err != nil {
		return err
	}
	if _, err := manifest.SealFolder(p.disk, temp); err != nil {
		return err
	}
	if err := p.disk.Rename(temp, final); err != nil {
		return err
	}
	return p.disk.SyncDir(p.dir)
}

// enter makes the checkpoint folder's own name durable, once.
func (p *publisher) enter() error {
	if p.entered {
		return nil
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	if err := p.disk.SyncDir(filepath.Dir(p.dir)); err != nil {
		return err
	}
	p.entered = true
	return nil
}

// crashing counts the syncs and renames of the stage that spec (STAGE:N) names, and kills
// this process just before the N-th.
func crashing(d manifest.Disk, spec, stage string) manifest.Disk {
	name, count, ok := cutLast(spec, ":")
	left, err := strconv.Atoi(count)
	if !ok || err != nil || name != stage {
		return d
	}
	var mu sync.Mutex
	return manifest.Watched(d, func(op manifest.Op, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Durable() {
			if left--; left == 0 {
				killSelf()
			}
		}
		return nil
	})
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
