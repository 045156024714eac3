package workflow

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// sourceFile is a file of the workflow that was read: the main one or an included one.
type sourceFile struct {
	name string // relative to the project directory, with /
	top  map[string]pair
}

// reader reads the main file and what it includes, depth first.
type reader struct {
	d     *document
	files []*sourceFile
	stack []string        // files that are being read
	known map[string]bool // by path without symbolic links
	// bytes and values of all files so far: they share what one may have.
	bytes, values int
	// partial: something that should be there could not be read, so a name that is not known
	// may stand in it.
	partial bool
}

func (r *reader) read(name string, text []byte) {
	main := len(r.files) == 0
	var src *source
	if r.bytes += len(text); main || r.shared(r.bytes, maxBytes, "bytes", name) {
		src = scan(name, text, r.d.report)
	}
	if src != nil {
		if r.values += src.values; !r.shared(r.values, maxValues, "values", name) {
			src = nil
		}
	}
	if src == nil {
		r.partial = true
		return
	}
	root := parseYAML(src, r.d.report)
	if root == nil {
		r.partial = true
		return
	}
	if root.kind != mappingNode {
		r.d.report.add(root.pos, CodeWrongType, "", "a workflow is a mapping, not %s", root.what())
		r.partial = true
		return
	}
	table := topKeys
	if !main {
		table = includedKeys
	}
	file := &sourceFile{name: name, top: r.d.topLevel(root, table)}
	r.files = append(r.files, file)
	if v, ok := file.top["version"]; ok {
		r.d.checkVersion(v.value)
	}
	if e, ok := file.top["include"]; ok {
		r.stack = append(r.stack, name)
		r.includes(name, e.value)
		r.stack = r.stack[:len(r.stack)-1]
	}
}

// shared reports a file with which all files together are too large.
func (r *reader) shared(size, limit int, what, name string) bool {
	if size > limit {
		r.d.report.add(Pos{name, 1, 1}, CodeTooLarge, noData, "with this file the workflow has over %d %s", limit, what)
	}
	return size <= limit
}

func (r *reader) includes(from string, n *node) {
	if n.broken {
		return
	}
	for _, item := range n.list() {
		if to, ok := r.d.plainText(item, "include"); ok {
			r.include(from, to, item.pos)
		} else {
			r.partial = true
		}
	}
}

func (r *reader) include(from, to string, at Pos) {
	name, ok := insideRoot(path.Dir(from), to)
	if !ok {
		r.partial = true
		r.d.report.add(at, CodeIncludeOutside, "a path relative to this file, with /", "%s is not inside the project directory", shorten(to))
		return
	}
	if i := slices.Index(r.stack, name); i >= 0 {
		r.cycle(append(slices.Clone(r.stack[i:]), name), at)
		return
	}
	text, real, err := r.open(name)
	switch {
	case errors.Is(err, errOutside):
		r.partial = true
		r.d.report.add(at, CodeIncludeOutside, "", "%s leads out of the project directory", shorten(to))
	case err != nil:
		r.partial = true
		r.d.report.add(at, CodeIncludeMissing, "", "%s cannot be read: %s", shorten(to), plainCause(err))
	case !r.known[real]:
		r.known[real] = true
		r.read(name, text)
	}
}

func (r *reader) cycle(files []string, at Pos) {
	r.d.report.addProblem(at, Problem{
		Code: CodeIncludeCycle, Path: files, Message: "the files include one another: " + strings.Join(files, " → "),
	})
}

// insideRoot gives to, as seen from dir, as a path relative to the project directory.
func insideRoot(dir, to string) (string, bool) {
	if path.IsAbs(to) || drive().MatchString(to) || strings.Contains(to, `\`) {
		return "", false
	}
	name := path.Join(dir, to)
	return name, name != ".." && !strings.HasPrefix(name, "../")
}

var errOutside = fmt.Errorf("outside the project directory")

// open reads a file of the project; real is its path without symbolic links.
func (r *reader) open(name string) (text []byte, real string, err error) {
	root, err := filepath.EvalSymlinks(r.d.root())
	if err != nil {
		return nil, "", err
	}
	real, err = filepath.EvalSymlinks(filepath.Join(r.d.root(), filepath.FromSlash(name)))
	if err != nil {
		return nil, "", err
	}
	rel, err := filepath.Rel(root, real)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return nil, "", errOutside
	}
	text, err = ReadFile(real)
	return text, real, err
}

func (d *document) root() string {
	if d.opts.Root == "" {
		return "."
	}
	return d.opts.Root
}

// plainCause is an error without the absolute path that os puts into it.
func plainCause(err error) string {
	var e *os.PathError
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}
