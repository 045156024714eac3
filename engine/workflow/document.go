package workflow

import (
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/expr-lang/expr/conf"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// document is a workflow while it is read.
type document struct {
	opts     Options
	report   *report
	workflow *Workflow

	// partial: a file could not be read, so nothing is said about names that are not known.
	partial  bool
	params   map[string]*param
	order    []*param
	secrets  map[string]bool
	slots    map[string]slot
	env      []EnvVar
	defaults defaults
	stages   map[string]*Stage
	refused  map[string]bool   // keys of stages that have a problem themselves
	folded   map[string]*Stage // by NFKC and case folding: the names of folders
	plugins  map[string]*plugin

	expressions *conf.Config
	// What was spent of what bounds the work on one workflow.
	conditions   int // expressions
	visits       int // nodes of expressions
	instructions int // of patterns
	values       int // of all instances
	textBytes    int // of texts with references, put together
	instances    int
	needs        int  // of instances
	tooMany      bool // of them, which is reported once
}

// defaults is what the key defaults says.
type defaults struct {
	timeout         time.Duration
	retry           Retry
	resources       Resources
	env             []EnvVar
	continueOnError bool
}

func newDocument(file string, opts Options) *document {
	return &document{
		opts: opts, report: newReport(),
		workflow: &Workflow{File: file},
		params:   map[string]*param{}, stages: map[string]*Stage{}, folded: map[string]*Stage{},
		plugins: map[string]*plugin{}, secrets: map[string]bool{}, slots: map[string]slot{}, refused: map[string]bool{},
	}
}

// read fills d.workflow, or d.report with what is wrong.
func (d *document) read(text []byte) {
	r := &reader{d: d, known: map[string]bool{}}
	if real, err := filepath.EvalSymlinks(filepath.Join(d.root(), filepath.FromSlash(d.workflow.File))); err == nil {
		r.known[real] = true
	}
	r.read(d.workflow.File, text)
	if len(r.files) == 0 {
		return
	}
	d.partial = r.partial
	main := r.files[0].top
	d.readName(main)
	for _, f := range r.files {
		d.readParams(f.top["params"])
		d.readSecrets(f.top["secrets"])
	}
	d.finishParams()
	d.readConcurrency(main["concurrency"])
	d.readSlots(main["slots"])
	for _, f := range r.files {
		d.readTopEnv(f.top["env"])
	}
	d.readDefaults(main["defaults"])
	d.readHooks(main["on"])
	d.readStages(r.files)
	d.connect()
	for _, s := range d.workflow.Stages {
		s.body, s.refs, s.asks = stageBody{}, nil, nil // the workflow lives long; the trees of its files need not
	}
}

// topLevel gives the entries of the root; keys that start with x- are the place for anchors.
func (d *document) topLevel(root *node, table []keySpec) map[string]pair {
	own := *root
	own.pairs = nil
	for _, p := range root.pairs {
		if !strings.HasPrefix(p.key.text, "x-") || p.key.broken {
			own.pairs = append(own.pairs, p)
		}
	}
	at := root.pos
	if len(root.pairs) > 0 {
		at = root.pairs[0].key.pos
	}
	return d.fields(&own, table, at, "the workflow")
}

func (d *document) readName(top map[string]pair) {
	d.workflow.Name = strings.TrimSuffix(path.Base(d.workflow.File), path.Ext(d.workflow.File))
	if n, ok := top["name"]; ok {
		if name, ok := d.plainText(n.value, "name"); ok {
			d.workflow.Name = name
		}
	}
}

// languageVersion is the version that this package reads.
const languageVersion = 1

func (d *document) checkVersion(n *node) {
	if n.broken {
		return
	}
	v := d.value(n, scope{}, 0)
	switch {
	case v.Kind == broken:
	case v.Kind != Int:
		d.report.add(n.pos, CodeWrongType, "write version: 1", "version wants an int, not %s", n.what())
	case v.Int != languageVersion:
		d.report.add(n.pos, CodeBadVersion, "", "version %d is not known, this so8t reads version %d", v.Int, languageVersion)
	}
}

// entries gives the entries of a mapping without repeated keys, which it reports.
func (d *document) entries(n *node) []pair {
	first := make(map[string]*node, len(n.pairs))
	out := make([]pair, 0, len(n.pairs))
	for _, p := range n.pairs {
		if f, ok := first[p.key.text]; ok {
			d.report.add(p.key.pos, CodeDuplicateKey, "", "the key %q stands twice, first on line %d", p.key.text, f.pos.Line)
			continue
		}
		first[p.key.text] = p.key
		out = append(out, p)
	}
	return out
}

// mapping tells whether n is a mapping, and reports it when it is not.
func (d *document) mapping(n *node, what string) bool { return d.mappingOf(n, what, "") }

func (d *document) mappingOf(n *node, what, hint string) bool {
	if n.broken {
		return false
	}
	if n.kind != mappingNode {
		d.report.add(n.pos, CodeWrongType, hint, "%s wants a mapping, not %s", what, n.what())
		return false
	}
	return true
}

// fields gives the entries of a mapping of the language by key, without those that are null. at
// is the key of the mapping, what its name in messages.
func (d *document) fields(n *node, table []keySpec, at Pos, what string) map[string]pair {
	if !d.mappingOf(n, what, "its keys: "+strings.Join(names(table), ", ")) {
		return nil
	}
	out := make(map[string]pair, len(n.pairs))
	for _, p := range d.entries(n) {
		_, known := find(table, p.key.text)
		switch {
		case p.key.broken:
		case !known:
			d.report.add(p.key.pos, CodeUnknownKey, d.report.suggest(p.key.text, names(table)), "unknown key %q in %s", p.key.text, what)
		case p.value.isNull():
		default:
			out[p.key.text] = p
		}
	}
	d.requireKeys(out, table, at, what)
	return out
}

func (d *document) requireKeys(have map[string]pair, table []keySpec, at Pos, what string) {
	var missing []string
	for _, k := range table {
		if _, ok := have[k.name]; k.required && !ok {
			missing = append(missing, k.name)
		}
	}
	if missing != nil {
		d.report.add(at, CodeMissingKey, "", "%s lacks %s", what, strings.Join(missing, ", "))
	}
}

// plainText reads a text in which no reference is resolved.
func (d *document) plainText(n *node, what string) (string, bool) {
	if n.kind == scalarNode && !n.broken && strings.Contains(n.text, "${") {
		if _, problem := splitText(n.text, 0); problem != nil {
			d.report.add(n.at(problem.offset), problem.code, problem.hint, "%s: %s", what, problem.text)
			return "", false
		}
	}
	v := d.value(n, scope{}, 0)
	if v.Kind == broken {
		return "", false
	}
	if v.Kind != Text {
		d.report.add(n.pos, CodeWrongType, quoteHint(v), "%s wants a text (string), not %s", what, n.what())
		return "", false
	}
	return v.Text, true
}

func quoteHint(v *Value) string {
	switch v.Kind {
	case Int, Float, Bool, Null:
		return "quote it to make it a text"
	}
	return ""
}

// name reads the key of a stage or parameter.
func (d *document) name(key *node, what string) (string, bool) {
	if key.broken {
		return "", false
	}
	if !isName(key.text) {
		d.report.add(key.pos, CodeBadName, nameHelp, "%s is no name of a %s", shorten(key.text), what)
		return "", false
	}
	return norm.NFC.String(key.text), true
}

// folderName is what two stages must not share: Windows and macOS fold case and Unicode form.
func folderName(name string) string {
	return cases.Fold().String(norm.NFKC.String(name))
}
