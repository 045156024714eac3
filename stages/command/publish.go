package command

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/so8t/so8t/plugins"
)

// in is the place of an output in a folder.
func in(dir, output string) string { return filepath.Join(dir, filepath.FromSlash(clean(output))) }

// stale remembers the outputs that are there before the program starts: only in a cwd of the
// user's can there be any.
func (c Config) stale(dir string) map[string]fs.FileInfo {
	found := map[string]fs.FileInfo{}
	for name, path := range c.Outputs {
		if info, err := os.Lstat(in(dir, path)); err == nil {
			found[name] = info
		}
	}
	return found
}

// makeFolders makes the folders in which outputs lie, so that a program can write to them at once.
func (c Config) makeFolders(dir string) error {
	for _, path := range c.Outputs {
		if err := os.MkdirAll(filepath.Dir(in(dir, path)), 0o777); err != nil {
			return plugins.Errorf(plugins.CodeOf(err), "making the folder of an output: %w", err)
		}
	}
	return nil
}

// publish brings the outputs into the attempt's output folder, under the same paths: moved from
// the working folder, which is deleted, copied from one of the user's.
func (c Config) publish(ctx context.Context, a *plugins.Attempt, dir string, before map[string]fs.FileInfo) error {
	names := slices.Sorted(maps.Keys(c.Outputs))
	var missing []string
	for _, name := range names {
		info, err := os.Lstat(in(dir, c.Outputs[name]))
		if err != nil {
			missing = append(missing, name+" ("+c.Outputs[name]+")")
			continue
		}
		if was := before[name]; was != nil && !was.IsDir() && was.ModTime().Equal(info.ModTime()) && was.Size() == info.Size() {
			a.Warn("output " + name + ": " + c.Outputs[name] + " was there before, and the program did not write it")
		}
	}
	if missing != nil {
		return plugins.Errorf(plugins.Internal, "the program ended without an error, but did not write %s", strings.Join(missing, ", "))
	}
	take := copyTree
	if dir == a.ScratchDir {
		take = move
	}
	// Those that hold others come first and bring them along.
	slices.SortFunc(names, func(x, y string) int { return strings.Compare(clean(c.Outputs[x]), clean(c.Outputs[y])) })
	for _, name := range names {
		to := in(a.OutputDir, c.Outputs[name])
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		err := os.MkdirAll(filepath.Dir(to), 0o777)
		if err == nil {
			err = take(ctx, in(dir, c.Outputs[name]), to)
		}
		if err != nil {
			return plugins.Errorf(plugins.CodeOf(err), "taking output %s: %w", name, err)
		}
	}
	return nil
}

func move(ctx context.Context, from, to string) error {
	err := os.Rename(from, to)
	var linked *os.LinkError
	if errors.As(err, &linked) && !errors.Is(err, fs.ErrNotExist) {
		return copyTree(ctx, from, to) // scratch on another disk
	}
	return err
}

// copyTree copies a file or a folder. Links in a folder stay links, which the engine refuses by name.
func copyTree(ctx context.Context, from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	return plugins.CopyFile(ctx, from, to, nil)
}
