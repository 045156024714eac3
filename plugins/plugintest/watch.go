package plugintest

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/so8t/so8t/plugins/manifest"
)

// outside is every file that no attempt has a right to write, with what tells whether one did:
// its digest in the suite's folder, where the inputs are, its size and time in the plugin's own,
// which may be large.
func (s *suite) outside() (map[string]string, error) {
	files := map[string]string{}
	roots := []string{s.dir}
	if s.command.Dir != s.project() {
		roots = append(roots, s.command.Dir)
	}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == "__pycache__" || s.own(path) || root != s.dir && path == s.dir) {
				return filepath.SkipDir
			}
			if d.IsDir() || filepath.Dir(filepath.Dir(path)) == s.dir && d.Name() == manifest.FileName {
				return nil
			}
			files[path], err = state(path, d, root == s.dir)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// state is a text that changes when the file does.
func state(path string, d fs.DirEntry, content bool) (string, error) {
	if content && d.Type().IsRegular() {
		sum, _, err := manifest.FileDigest(path)
		return sum, err
	}
	info, err := d.Info()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %d %s", info.Mode(), info.Size(), info.ModTime().Format(time.RFC3339Nano)), nil
}

// touched says in words what changed between two looks.
func touched(before, after map[string]string) []string {
	var wrong []string
	for _, path := range slices.Sorted(maps.Keys(after)) {
		was, there := before[path]
		switch {
		case !there:
			wrong = append(wrong, fmt.Sprintf("it wrote outside its folders: %s", path))
		case was != after[path]:
			wrong = append(wrong, fmt.Sprintf("it changed a file that is not its own: %s", path))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if _, there := after[path]; !there {
			wrong = append(wrong, fmt.Sprintf("it deleted a file that is not its own: %s", path))
		}
	}
	return wrong
}

// own says whether a folder is one that an attempt may write into.
func (s *suite) own(path string) bool {
	switch filepath.Base(path) {
	case "out", "scratch", "checkpoints":
		return filepath.Dir(filepath.Dir(path)) == s.dir && filepath.Dir(path) != s.project()
	}
	return false
}
