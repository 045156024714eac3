package data

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/dataset"
)

// maxProblems is how many bad lines are listed one by one.
const maxProblems = 20

// harmless findings cost a row that is there twice; they are said and never refuse a file.
func harmless(c dataset.Class) bool {
	return c == dataset.DuplicateExact || c == dataset.DuplicateNFKC
}

// importOwn reads the user's file. The problems are what refuses it.
func importOwn(c config, projectDir string) (*dataset.Import, []plugins.Problem) {
	im, err := dataset.ImportFile(c.Dataset, dataset.Options{Encoding: c.Encoding, MaxChars: c.MaxChars})
	name := c.Dataset
	if rel, rerr := filepath.Rel(projectDir, c.Dataset); projectDir != "" && rerr == nil && !strings.HasPrefix(rel, "..") {
		name = rel
	}
	short := func(s string) string { return strings.ReplaceAll(s, c.Dataset, name) }
	var fe *dataset.FileError
	if err != nil && !errors.As(err, &fe) {
		return nil, []plugins.Problem{{Field: "dataset", Code: plugins.BadInput, Message: short(err.Error()), Hint: "name a file of rows: JSONL or CSV"}}
	}
	var ps []plugins.Problem
	bad := 0
	for _, f := range im.Rejected {
		if harmless(f.Class) || c.BadRows == "skip" && fe == nil {
			continue
		}
		if bad++; bad <= maxProblems {
			ps = append(ps, plugins.Problem{Field: "dataset", Code: plugins.BadInput, Message: short(f.String()), Hint: "correct or remove the line, or set bad_rows: skip"})
		}
	}
	if bad > maxProblems {
		ps = append(ps, plugins.Problem{Field: "dataset", Code: plugins.BadInput, Message: fmt.Sprintf("%s: and %d more lines", name, bad-maxProblems)})
	}
	if fe != nil {
		ps = append(ps, plugins.Problem{Field: "dataset", Code: plugins.BadInput, Message: short(fe.Error())})
	}
	return im, ps
}

// fromFile splits a user's rows.
func fromFile(c config, a *plugins.Attempt) (*made, error) {
	im, problems := importOwn(c, a.ProjectDir)
	if len(problems) > 0 {
		var lines []string
		for _, p := range problems {
			lines = append(lines, p.Message)
		}
		return nil, plugins.Errorf(plugins.BadInput, "%s", strings.Join(lines, "\n"))
	}
	for _, f := range append(im.Rejected, im.Warnings...) {
		a.Log(f.String())
	}
	if n := len(im.Rejected); n > 0 {
		a.Warn(fmt.Sprintf("%d rows of the dataset are not used; the log says which and why", n))
	}
	rows, clusters, limit := ownRows(im)
	sets, err := splitGroups(rows, clusters, c)
	if err != nil {
		return nil, err
	}
	m := &made{sets: sets, stats: newStats("dataset", c.Seed, sets)}
	m.stats.Import = &importStats{Accepted: len(rows), Rejected: len(im.Rejected), NearDuplicates: len(im.Warnings), Blank: im.BlankLines,
		Clusters: slices.Max(clusters) + 1, ClusterLimit: limit, Unlabelled: unlabelled(rows)}
	if limit > dataset.ClusterLimit {
		a.Warn(fmt.Sprintf("the rows are so alike that only prompts with a similarity of %g or more were kept in one split; give rows a template_id to say what belongs together", limit))
	}
	m.corpus = textCorpus(sets[train], uint64(c.Seed))
	warnSmall(a, sets)
	return m, nil
}

// ownRows gives rows their targets and ids, and their cluster as template when they name
// none.
func ownRows(im *dataset.Import) (rows []dataset.Row, clusters []int, limit float64) {
	rows = make([]dataset.Row, len(im.Rows))
	for i, r := range im.Rows {
		rows[i] = r.Targeted()
		rows[i].ID = fmt.Sprintf("line-%06d", r.Line)
		if rows[i].Domain == "" {
			rows[i].Domain = "general"
		}
	}
	clusters, limit = dataset.Clusters(rows)
	for i := range rows {
		if rows[i].Template == "" {
			rows[i].Template = fmt.Sprintf("cluster-%05d", clusters[i])
		}
	}
	return rows, clusters, limit
}

func unlabelled(rows []dataset.Row) int {
	n := 0
	for _, r := range rows {
		if r.Label == "" {
			n++
		}
	}
	return n
}

// splitGroups deals out clusters whole, in the ratio of the counts, each label by itself as
// far as the clusters allow. A cluster with a row without a label is for learning.
func splitGroups(rows []dataset.Row, clusters []int, c config) (sets [4][]dataset.Row, err error) {
	groups := make([][]int, slices.Max(clusters)+1)
	for i, k := range clusters {
		groups[k] = append(groups[k], i)
	}
	rng := rand.New(rand.NewPCG(uint64(c.Seed), 0x67726f757073)) // "groups"
	rng.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
	slices.SortStableFunc(groups, func(a, b []int) int { return len(b) - len(a) })

	total, counts := map[string]float64{}, c.counts()
	for _, r := range rows {
		total[r.Label]++
	}
	sum := float64(counts[0] + counts[1] + counts[2] + counts[3])
	have := [4]map[string]float64{{}, {}, {}, {}}
	into := make([]split, len(rows))
	for _, g := range groups {
		best, most := train, 0.0
		for s := range counts {
			need := 0.0
			for _, i := range g {
				l := rows[i].Label
				want := total[l] * float64(counts[s]) / sum
				need += (want - have[s][l]) / want
				if l == "" && split(s) != train {
					need -= 1e9
				}
			}
			if s == 0 || need > most {
				best, most = split(s), need
			}
		}
		for _, i := range g {
			have[best][rows[i].Label]++
			into[i] = best
		}
	}
	for i, r := range rows { // in the file's order
		sets[into[i]] = append(sets[into[i]], r)
	}
	for s, set := range sets {
		if len(set) == 0 {
			return sets, plugins.Errorf(plugins.BadInput, "dataset: %d rows in %d groups of similar texts are too few: nothing is left for %s", len(rows), len(groups), splitNames[s])
		}
	}
	return sets, nil
}

// warnSmall says what a small set cannot show.
func warnSmall(a *plugins.Attempt, sets [4][]dataset.Row) {
	for s, rows := range sets {
		labels := map[string]bool{}
		for _, r := range rows {
			labels[r.Label] = true
		}
		for _, l := range dataset.Labels {
			if !labels[l] {
				a.Warn(fmt.Sprintf("%s has no row of %s", splitNames[s], l))
			}
		}
	}
	if n := len(sets[calibration]); n < 100 {
		a.Warn(fmt.Sprintf("calibration has %d rows: too few to measure calibration", n))
	}
}
