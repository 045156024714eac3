package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
)

// check asks the stages that would run, and those whose fingerprint holds facts, whether they
// could. True when a stage states other facts than it did before: that changes fingerprints.
func (p *planner) check(ctx context.Context, decisions []decision) (bool, error) {
	groups, keys := p.toCheck(decisions)
	results := make([][]plugins.CheckReport, len(keys))
	parallel(min(p.e.opts.Jobs, 8), len(keys), func(i int) {
		results[i] = p.checkGroup(ctx, groups[keys[i]], decisions)
	})
	if err := ctx.Err(); err != nil {
		return false, err
	}
	news := false
	for i, key := range keys {
		for j, n := range groups[key] {
			if !maps.Equal(p.facts(n), results[i][j].Facts) {
				news = true
			}
			p.reports[n.instance] = results[i][j]
		}
	}
	return news, nil
}

// toCheck groups the nodes that one process can check: the same plugin with the same variables.
func (p *planner) toCheck(decisions []decision) (map[string][]*node, []string) {
	groups := map[string][]*node{}
	var keys []string
	for _, n := range p.nodes {
		if _, done := p.reports[n.instance]; done {
			continue
		}
		d := decisions[n.index]
		if !p.mayRun(n, d) && !(d.action == ActionReuse && len(d.facts) > 0 && !n.frozen) {
			continue
		}
		key := fmt.Sprintf("%s %q %q", n.uses, n.env, n.secrets)
		if groups[key] == nil {
			keys = append(keys, key)
		}
		groups[key] = append(groups[key], n)
	}
	return groups, keys
}

// mayRun: what runs only after a failure is looked at before anything starts, too.
func (p *planner) mayRun(n *node, d decision) bool {
	return d.action == ActionRun || d.action == ActionSkip && n.when == whenFailure && p.selection.selected(n)
}

// checkGroup checks nodes, whose variables are the same, with one process. What goes wrong with the process is a problem of each.
func (p *planner) checkGroup(ctx context.Context, nodes []*node, decisions []decision) []plugins.CheckReport {
	reports := make([]plugins.CheckReport, len(nodes))
	secrets, missing := p.e.secretValues(nodes[0])
	plugin, err := p.e.start(ctx, nodes[0].plugin.with(nodes[0].environment(secrets)), nodes[0].hostOptions(secrets))
	if err == nil {
		defer plugin.Close()
	}
	for i, n := range nodes {
		if err == nil {
			reports[i], err = p.checkOne(ctx, plugin, n, decisions)
		}
		if err != nil {
			reports[i] = plugins.CheckReport{Problems: []plugins.Problem{{Code: plugins.CodeOf(err), Message: err.Error()}}}
		}
		if missing != nil {
			reports[i].Problems = append(reports[i].Problems, plugins.Problem{Code: plugins.CodeOf(missing), Message: missing.Error()})
		}
	}
	return reports
}

func (p *planner) checkOne(ctx context.Context, plugin process, n *node, decisions []decision) (plugins.CheckReport, error) {
	r := n.resolve(p.e.opts.ProjectDir, p.lookup(decisions))
	with, err := r.json()
	if err != nil {
		return plugins.CheckReport{}, err
	}
	return plugin.Check(ctx, plugins.CheckRequest{With: with, Pending: r.fields(), ProjectDir: p.e.opts.ProjectDir})
}

// with is the plugin with a stage's own variables.
func (p *pluginInfo) with(env map[string]string) *pluginInfo {
	if len(env) == 0 {
		return p
	}
	q := *p
	q.command.Env = maps.Clone(p.command.Env)
	if q.command.Env == nil {
		q.command.Env = map[string]string{}
	}
	maps.Copy(q.command.Env, env)
	return &q
}

func (n *node) hostOptions(secrets map[string]string) host.Options {
	o := host.Options{Name: n.instance}
	for _, name := range sortedKeys(secrets) {
		o.Secrets = append(o.Secrets, secrets[name])
	}
	return o
}

// problems lists what stands in the way of the stages that would run.
func (p *planner) problems(decisions []decision) []StageProblem {
	out := append(p.frozenProblems(decisions), p.publicationProblems()...)
	out = append(out, p.deviceProblems(decisions)...)
	free := freeMemory()
	for _, n := range p.nodes {
		if !p.mayRun(n, decisions[n.index]) {
			continue
		}
		report := p.reports[n.instance]
		for _, problem := range report.Problems {
			out = append(out, n.problem(problem))
		}
		out = append(out, p.inputProblems(n, decisions[n.index], report)...)
		if memory := max(report.Needs.Memory, n.resources.Memory); memory > free && free > 0 {
			out = append(out, n.problem(plugins.Problem{Code: plugins.OutOfMemory,
				Message: fmt.Sprintf("needs %s of memory, %s are free", byteText(memory), byteText(free))}))
		}
	}
	return append(out, p.diskProblem(decisions)...)
}

// inputProblems are inputs that are not there, if the stage itself did not say so, and outputs
// that are no input of anything.
func (p *planner) inputProblems(n *node, d decision, report plugins.CheckReport) []StageProblem {
	var out []StageProblem
	for _, field := range d.identity.missing {
		if !slices.ContainsFunc(report.Problems, func(q plugins.Problem) bool { return q.Field == field }) {
			out = append(out, n.problem(plugins.Problem{Field: field, Code: plugins.BadInput, Message: "there is no such file or folder"}))
		}
	}
	for _, l := range n.plugin.schema.leaves(n.with) {
		ref, ok := l.value.(outputRef)
		if !ok || p.index[ref.instance] == nil {
			continue
		}
		for _, o := range p.index[ref.instance].plugin.description.Outputs {
			if o.Name == ref.output && o.Volatile {
				out = append(out, n.problem(plugins.Problem{Field: l.field, Code: plugins.BadInput,
					Message: fmt.Sprintf("output %q of stage %s holds times or rates: it differs every time and can be no input", o.Name, ref.instance)}))
			}
		}
	}
	return out
}

func (n *node) problem(q plugins.Problem) StageProblem {
	return StageProblem{Instance: n.instance, Field: q.Field, Code: string(q.Code), Message: q.Message, Hint: q.Hint,
		File: n.file, Line: n.line, Col: n.col}
}

// byteText writes a size for people, in powers of 1024.
func byteText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for _, name := range []string{"KiB", "MiB", "GiB"} {
		if f /= unit; f < unit {
			return fmt.Sprintf("%.1f %s", f, name)
		}
	}
	return fmt.Sprintf("%.1f TiB", f/unit)
}
