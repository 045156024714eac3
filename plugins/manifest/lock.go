package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// LockFileName is the file of a project that pins its local plugins.
const LockFileName = "so8t.lock"

// lockHeader is the first line of a lock. The rest are, sorted, for each plugin a line with what
// a workflow calls it (`uses`) and for each of its files a line `  sha256  path`:
//
//	./evaluators/politeness
//	  7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730  main.go
const lockHeader = "so8t lock 1: the files of local plugins; `so8t plugins lock` writes it"

// Lock says of which files the local plugins of a project consist.
type Lock struct {
	plugins map[string][]File // by uses
}

// LockError says why a plugin is not the one that the lock pins.
type LockError struct{ Reason string }

func (e *LockError) Error() string {
	return e.Reason + "; look at the change, then pin it: so8t plugins lock"
}

// ReadLock reads the lock of a project; nil when it has none.
func ReadLock(project string) (*Lock, error) {
	file := filepath.Join(project, LockFileName)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the lock: %w", err)
	}
	l, err := parseLock(string(text))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", LockFileName, err)
	}
	return l, nil
}

var lockedFile = regexp.MustCompile(`^  ([0-9a-f]{64})  (.+)$`)

func parseLock(text string) (*Lock, error) {
	l := &Lock{plugins: map[string][]File{}}
	uses := ""
	for i, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		file := lockedFile.FindStringSubmatch(line)
		switch {
		case i == 0 && line != lockHeader:
			return nil, fmt.Errorf("line 1: it is no lock of this so8t: make a new one with so8t plugins lock")
		case i == 0 || line == "":
		case file != nil && uses != "":
			l.plugins[uses] = append(l.plugins[uses], File{Path: file[2], SHA256: file[1]})
		case strings.HasPrefix(line, "./") && l.plugins[line] == nil:
			uses = line
			l.plugins[uses] = []File{}
		default:
			return nil, fmt.Errorf("line %d: want a plugin (./path) once, or two spaces, a sha256, two spaces and a path", i+1)
		}
	}
	return l, nil
}

// Encode is the file's text: the same pins give the same bytes.
func (l *Lock) Encode() []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, lockHeader)
	for _, uses := range l.Uses() {
		fmt.Fprintf(&b, "\n%s\n", uses)
		files := slices.Clone(l.plugins[uses])
		sortFiles(files)
		for _, f := range files {
			fmt.Fprintf(&b, "  %s  %s\n", f.SHA256, f.Path)
		}
	}
	return b.Bytes()
}

// Uses are the pinned plugins, sorted.
func (l *Lock) Uses() []string {
	if l == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(l.plugins))
}

// Pin sets the files of a plugin.
func (l *Lock) Pin(uses string, files []File) {
	if l.plugins == nil {
		l.plugins = map[string][]File{}
	}
	l.plugins[lockName(uses)] = files
}

// lockName is how a lock calls what a workflow calls uses.
func lockName(uses string) string { return "./" + path.Clean(uses) }

// Check returns a *LockError when the plugin's files are not those that the lock pins, a nil
// lock never.
func (l *Lock) Check(uses string, files []File) error {
	if l == nil {
		return nil
	}
	pinned, ok := l.plugins[lockName(uses)]
	if !ok {
		return &LockError{fmt.Sprintf("%s does not pin it", LockFileName)}
	}
	want := map[string]string{}
	for _, f := range pinned {
		want[f.Path] = f.SHA256
	}
	var wrong []string
	for _, f := range files {
		sum, ok := want[f.Path]
		delete(want, f.Path)
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("its file %q is new", f.Path))
		case sum != f.SHA256:
			wrong = append(wrong, fmt.Sprintf("its file %q changed: sha256 %.12s… instead of %.12s…", f.Path, f.SHA256, sum))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		wrong = append(wrong, fmt.Sprintf("its file %q is gone", name))
	}
	if wrong == nil {
		return nil
	}
	return &LockError{"it is not as " + LockFileName + " pins it: " + strings.Join(wrong, ", ")}
}
