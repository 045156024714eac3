package workflow

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// stageBody is what a stage says that may differ between its instances.
type stageBody struct {
	fields map[string]pair
}

// plugin is what was learned of a `uses`.
type plugin struct {
	spec    *PluginSpec
	schema  *schema
	err     error
	unknown bool
}

// readTopEnv reads the variables of a file; those of the files before it win.
func (d *document) readTopEnv(p pair) {
	if p.value == nil {
		return
	}
	vars := settings{d: d, allowed: inParams | inSecrets}.env(p.value, nil)
	for _, v := range d.env {
		vars = setEnv(vars, v)
	}
	d.env = vars
}

func (d *document) readDefaults(p pair) {
	d.defaults.env = d.env
	if p.value == nil {
		return
	}
	f := d.fields(p.value, defaultsKeys, p.key.pos, "defaults")
	s := settings{d: d, allowed: inParams}
	if e, ok := f["timeout"]; ok {
		if t, ok := s.timeout(s.value(e.value)); ok {
			d.defaults.timeout = t
		}
	}
	if e, ok := f["retry"]; ok {
		s.retry(e.value, e.key, &d.defaults.retry)
	}
	if e, ok := f["resources"]; ok {
		s.resources(e.value, e.key, &d.defaults.resources)
	}
	if e, ok := f["env"]; ok {
		d.defaults.env = s.env(e.value, d.env)
	}
	if e, ok := f["continue_on_error"]; ok {
		d.defaults.continueOnError, _ = s.boolean(s.value(e.value), "continue_on_error")
	}
}

func (d *document) readStages(files []*sourceFile) {
	var bodies []*node
	for i, f := range files {
		p, ok := f.top["stages"]
		if !ok || !d.mapping(p.value, "stages") {
			continue
		}
		if len(p.value.pairs) == 0 && i == 0 {
			d.report.add(p.key.pos, CodeNoStages, "", "stages has no stage")
		}
		for _, e := range p.value.pairs {
			if s := d.declare(e.key); s != nil {
				bodies = append(bodies, e.value)
			}
		}
	}
	for i, s := range d.workflow.Stages {
		d.readStage(s, bodies[i])
	}
	d.readMatrices()
	for _, s := range d.workflow.Stages {
		d.instantiate(s)
	}
}

// declare enters a stage under its name, or reports why it cannot be.
func (d *document) declare(key *node) *Stage {
	name, ok := d.name(key, "stage")
	if !ok {
		d.refused[key.text] = true
		return nil
	}
	folder := folderName(name)
	if first := d.folded[folder]; first != nil {
		if first.Name == name {
			d.report.add(key.pos, CodeDuplicateStage, "", "the stage %q stands twice, first %s", name, first.Pos.seenFrom(key.pos))
		} else {
			d.report.add(key.pos, CodeDuplicateStage, "", "the stage %q shares its folder on Windows and macOS with %q, %s", name, first.Name, first.Pos.seenFrom(key.pos))
		}
		d.refused[name] = true
		return nil
	}
	s := &Stage{Name: name, Pos: key.pos, When: WhenSuccess, index: len(d.workflow.Stages)}
	d.stages[name], d.folded[folder] = s, s
	d.workflow.Stages = append(d.workflow.Stages, s)
	return s
}

// readStage reads what does not differ between instances.
func (d *document) readStage(s *Stage, n *node) {
	if n.isNull() {
		n = &node{kind: mappingNode, pos: n.pos}
	}
	what := "the stage " + s.Name
	f := d.fields(n, stageKeys, s.Pos, what)
	s.body.fields = f
	if e, ok := f["uses"]; ok {
		d.readUses(s, e.value)
	}
	if e, ok := f["needs"]; ok {
		d.readNeeds(s, e.value)
	}
	if e, ok := f["frozen"]; ok {
		st := settings{d: d}
		s.Frozen, _ = st.boolean(st.value(e.value), "frozen")
	}
}

func (d *document) readUses(s *Stage, n *node) {
	uses, ok := d.plainText(n, "uses")
	if !ok {
		return
	}
	s.Uses, s.UsesPos = uses, n.pos
	p, ok := d.plugins[uses]
	if !ok {
		p = d.describe(uses)
		d.plugins[uses] = p
	}
	switch {
	case p.unknown:
		d.report.add(n.pos, CodeUnknownPlugin, d.pluginHint(uses), "no plugin %q", uses)
	case p.err != nil:
		d.report.add(n.pos, CodeBadPlugin, "", "the plugin %q cannot be used: %v", uses, p.err)
	default:
		s.Spec = p.spec
	}
}

func (d *document) pluginHint(uses string) string {
	if strings.HasPrefix(uses, "./") {
		return "the project directory has no such file or folder"
	}
	return d.report.suggest(uses, d.opts.Plugins)
}

func (d *document) describe(uses string) *plugin {
	if d.opts.Describe == nil {
		if !strings.HasPrefix(uses, "./") || d.opts.Root == "" {
			return &plugin{}
		}
		_, err := os.Stat(filepath.Join(d.opts.Root, filepath.FromSlash(uses)))
		return &plugin{unknown: err != nil}
	}
	spec, err := d.opts.Describe(uses)
	if err != nil {
		return &plugin{err: err, unknown: errors.Is(err, ErrUnknownPlugin)}
	}
	if spec == nil {
		return &plugin{}
	}
	schema, err := parseSchema(spec.With)
	if err != nil {
		return &plugin{err: err}
	}
	return &plugin{spec: spec, schema: schema}
}

func (d *document) readNeeds(s *Stage, n *node) {
	if n.broken {
		return
	}
	seen := map[string]bool{}
	for _, item := range n.list() {
		name, ok := d.plainText(item, "needs")
		if !ok {
			continue
		}
		switch target := d.stages[norm.NFC.String(name)]; {
		case target == nil:
			d.unknownStage(name, item.pos)
		case seen[target.Name]:
			d.report.add(item.pos, CodeDuplicateNeeds, "", "needs names %q twice", name)
		default:
			seen[target.Name] = true
			s.Needs = append(s.Needs, Name{target.Name, item.pos})
		}
	}
}

// readWhen reads one of the three words, or an expression.
func (d *document) readWhen(s *Stage, n *node) {
	if n.kind == scalarNode && contains(whenWords, strings.TrimSpace(n.text)) {
		s.When = strings.TrimSpace(n.text)
		return
	}
	if s.when = d.expression(n, s, "when", false); s.when != nil {
		s.When = s.when.Text
	}
}

func (d *document) readGates(s *Stage, e pair) {
	if e.value.broken {
		return
	}
	if e.value.kind != sequenceNode {
		d.report.add(e.value.pos, CodeWrongType, "", "gates wants a list, not %s", e.value.what())
		return
	}
	if len(e.value.items) > maxGates {
		d.report.add(e.key.pos, CodeTooLarge, "", "the stage has %d gates, more than %d", len(e.value.items), maxGates)
		return
	}
	for _, item := range e.value.items {
		if g := d.expression(item, s, "a gate", true); g != nil {
			s.gates = append(s.gates, g)
		}
	}
}

// instantiate makes the nodes of a stage.
func (d *document) instantiate(s *Stage) {
	if e, ok := s.body.fields["publish"]; ok {
		s.Publish = d.readPublish(s, e.value)
	}
	if e, ok := s.body.fields["when"]; ok {
		d.readWhen(s, e.value)
	}
	if e, ok := s.body.fields["gates"]; ok {
		d.readGates(s, e)
	}
	var secrets []string
	if e, ok := s.body.fields["secrets"]; ok {
		secrets = d.stageSecrets(e.value)
	}
	for i, instance := range s.matrix.instances {
		n := &Node{
			ID: instance.id(s.Name), Stage: s.Name, Matrix: instance, Uses: s.Uses, When: s.When, Condition: s.when, Gates: s.gates, Frozen: s.Frozen,
			Pos: s.Pos, Spec: s.Spec, Publish: s.Publish, Secrets: secrets,
			Timeout: d.defaults.timeout, Retry: d.defaults.retry, Resources: d.defaults.resources,
			Env: d.defaults.env, ContinueOnError: d.defaults.continueOnError,
			With: &Value{Kind: Map, Pos: s.Pos},
		}
		sc := scope{stage: s, instance: instance, first: i == 0}
		d.readWith(s, n, sc)
		d.readSettings(s, n, sc)
		d.workflow.Nodes = append(d.workflow.Nodes, n)
	}
}

func (d *document) readWith(s *Stage, n *Node, sc scope) {
	if e, ok := s.body.fields["with"]; ok {
		if !d.mapping(e.value, "with") {
			return
		}
		if !d.fits(e, s, sc) {
			return
		}
		n.With = d.value(e.value, sc, inParams|inMatrix|inStages)
	}
	if s.Spec != nil {
		c := schemaCheck{report: d.report, mediaType: d.mediaType}
		c.value(n.With, d.plugins[s.Uses].schema, s.Pos, "with")
	}
}

func (d *document) readSettings(s *Stage, n *Node, sc scope) {
	f := s.body.fields
	st := settings{d: d, scope: sc, allowed: inParams | inMatrix}
	if e, ok := f["timeout"]; ok {
		if t, ok := st.timeout(st.value(e.value)); ok {
			n.Timeout = t
		}
	}
	if e, ok := f["retry"]; ok && d.fits(e, s, sc) {
		st.retry(e.value, e.key, &n.Retry)
	}
	if e, ok := f["resources"]; ok && d.fits(e, s, sc) {
		st.resources(e.value, e.key, &n.Resources)
	}
	if e, ok := f["env"]; ok && d.fits(e, s, sc) {
		withSecrets := st
		withSecrets.allowed |= inSecrets
		n.Env = withSecrets.env(e.value, d.defaults.env)
	}
	if e, ok := f["priority"]; ok {
		n.Priority, n.hasPriority = st.integer(st.value(e.value), "priority", -maxPriority, maxPriority)
	}
	if e, ok := f["concurrency"]; ok {
		n.Concurrency, _ = st.integer(st.value(e.value), "concurrency", 1, math.MaxInt32)
	}
	if e, ok := f["continue_on_error"]; ok {
		plain := settings{d: d}
		n.ContinueOnError, _ = plain.boolean(plain.value(e.value), "continue_on_error")
	}
}

// maxPriority is the highest priority, and its negative the lowest.
const maxPriority = 100

var drive = lazily(`^[A-Za-z]:`)

func (d *document) readPublish(s *Stage, n *node) []Publication {
	if !d.mapping(n, "publish") {
		return nil
	}
	var out []Publication
	for _, e := range d.entries(n) {
		if e.key.broken || !d.hasOutput(s, e.key.text, e.key.pos) {
			continue
		}
		to, ok := d.plainText(e.value, "publish."+e.key.text)
		if !ok {
			continue
		}
		clean, inside := insideRoot(".", to)
		if !inside || clean == "." {
			d.report.add(e.value.pos, CodeIncludeOutside, "", "%s is not inside the project directory", shorten(to))
			continue
		}
		out = append(out, Publication{e.key.text, clean, e.value.pos})
	}
	return out
}
