package cli

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine/internal/console"
	"github.com/so8t/so8t/engine/workflow"
	"github.com/so8t/so8t/plugins/manifest"
)

func (a *app) pluginsLockCommand() *cobra.Command {
	var check, asJSON bool
	c := &cobra.Command{
		Use:     "lock [WORKFLOW|PATH]…",
		Example: "  so8t plugins lock\n  so8t plugins lock --check",
		Short:   "pin the files of local plugins by sha256, in so8t.lock",
		Long: `Writes down the sha256 of every file of the local plugins (uses: ./…) that the project's workflows
use: so8t.yaml and the workflows beside it and in workflows/. With arguments, only the plugins of
these workflows, or these plugins, are pinned anew; the rest of the lock stays. What a workflow with
problems hides, or a plugin that is not built, keeps the pins that it had; the exit code is then 2.

Once there is a lock, a plugin that it does not pin, or that is not as pinned, is not started:
validate, plan and run end with 2 and name the file. Plugins are not started to be locked.`,
		RunE: func(_ *cobra.Command, args []string) error {
			project, err := a.projectDir()
			if err != nil {
				return err
			}
			looked, err := lookAtPlugins(project, args)
			if err != nil {
				return err
			}
			if asJSON {
				if err := a.printJSON(map[string]any{"plugins": looked.uses}); err != nil {
					return err
				}
			}
			if check {
				err = a.checkLock(project, looked.uses)
			} else {
				err = a.writeLock(project, looked.lock)
			}
			if err != nil {
				return err
			}
			return a.lockTroubles(looked)
		},
	}
	c.Flags().BoolVar(&check, "check", false, "write nothing; exit code 2 when the lock is not what it would be")
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	return c
}

// lookedAt is what the command found.
type lookedAt struct {
	lock *manifest.Lock // as it is to be
	uses []string
	// problems of workflows, and the plugins that cannot be pinned: what they had as pins stays.
	problems workflow.Problems
	unpinned map[string]error
}

// lookAtPlugins digests the plugins that the arguments are or use. Without arguments what cannot be
// looked at stands in nobody's way; an argument must be right.
func lookAtPlugins(project string, args []string) (lookedAt, error) {
	l := lookedAt{lock: &manifest.Lock{}, unpinned: map[string]error{}}
	var err error
	if l.uses, l.problems, err = usedPlugins(project, args); err != nil {
		return l, err
	}
	if len(args) > 0 && len(l.problems) > 0 {
		return l, l.problems
	}
	pins := map[string][]manifest.File{}
	for _, u := range l.uses {
		files, err := pluginFiles(project, u)
		if err != nil && len(args) > 0 {
			return l, err
		}
		if err != nil {
			l.unpinned[u] = err
			continue
		}
		pins[u] = files
	}
	if len(args) > 0 || len(l.problems)+len(l.unpinned) > 0 {
		old, err := manifest.ReadLock(project)
		if err != nil && len(args) > 0 {
			return l, usageError{err}
		}
		if old != nil {
			l.lock = old
		}
	}
	for u, files := range pins {
		l.lock.Pin(u, files)
	}
	return l, nil
}

// lockTroubles says what could not be looked at.
func (a *app) lockTroubles(l lookedAt) error {
	if len(l.problems)+len(l.unpinned) == 0 {
		return nil
	}
	for _, u := range sortedKeys(l.unpinned) {
		fmt.Fprintf(a.Err, "%s: not pinned anew: %v\n", u, l.unpinned[u])
	}
	if len(l.problems) > 0 {
		console.Problems(a.Err, a.style(a.Err), l.problems)
	}
	return quietError{exitUsage}
}

func pluginFiles(project, uses string) ([]manifest.File, error) {
	p, err := manifest.ReadPlugin(filepath.Join(project, filepath.FromSlash(uses)))
	if err != nil {
		return nil, usageError{err}
	}
	_, files, err := p.Digest()
	return files, err
}

func (a *app) writeLock(project string, lock *manifest.Lock) error {
	file := filepath.Join(project, manifest.LockFileName)
	text := lock.Encode()
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, text) {
		fmt.Fprintf(a.Err, "%s is up to date: %d plugins\n", manifest.LockFileName, len(lock.Uses()))
		return nil
	}
	if err := manifest.WriteDurably(manifest.OS, file, text); err != nil {
		return fmt.Errorf("writing the lock: %w", err)
	}
	fmt.Fprintf(a.Err, "%s pins %d plugins\n", manifest.LockFileName, len(lock.Uses()))
	return nil
}

// checkLock says which of the plugins are not as pinned.
func (a *app) checkLock(project string, uses []string) error {
	lock, err := manifest.ReadLock(project)
	if err != nil {
		return usageError{err}
	}
	if lock == nil && len(uses) > 0 {
		return usageError{fmt.Errorf("there is no %s in %s: so8t plugins lock writes one", manifest.LockFileName, project)}
	}
	failed := false
	for _, u := range uses {
		files, err := pluginFiles(project, u)
		if err == nil {
			err = lock.Check(u, files)
		}
		if err != nil {
			failed = true
			fmt.Fprintf(a.Err, "%s: %v\n", u, err)
		}
	}
	if failed {
		return quietError{exitUsage}
	}
	fmt.Fprintf(a.Err, "%d plugins are as pinned\n", len(uses))
	return nil
}

// usedPlugins lists the local plugins that the arguments are or use, as workflows name them,
// sorted, with the problems of workflows that may name more. Without arguments all workflows of the
// project are meant.
func usedPlugins(project string, args []string) ([]string, workflow.Problems, error) {
	var found []string
	files := projectWorkflows(project)
	if len(args) > 0 {
		files = nil
	}
	for _, arg := range args {
		file, err := filepath.Abs(arg)
		if err != nil {
			return nil, nil, err
		}
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && isYAML(file) {
			files = append(files, file)
			continue
		}
		rel, err := filepath.Rel(project, file)
		if err != nil || !filepath.IsLocal(rel) {
			return nil, nil, usageError{fmt.Errorf("%q is not below the project %s", arg, project)}
		}
		found = append(found, "./"+filepath.ToSlash(rel))
	}
	var problems workflow.Problems
	for _, file := range files {
		uses, err := usesOf(project, file)
		bad, isProblems := asProblems(err)
		if err != nil && !isProblems {
			return nil, nil, err
		}
		problems = append(problems, bad...)
		found = append(found, uses...)
	}
	slices.Sort(found)
	return slices.Compact(found), problems, nil
}

func isYAML(file string) bool { return slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(file)) }

// projectWorkflows are the YAML files where workflows lie that have stages.
func projectWorkflows(project string) []string {
	var files []string
	for _, pattern := range []string{"*.yaml", "*.yml", "workflows/*.yaml", "workflows/*.yml"} {
		found, err := filepath.Glob(filepath.Join(project, pattern))
		if err != nil {
			continue // the pattern is right
		}
		for _, file := range found {
			text, err := workflow.ReadFile(file)
			if err == nil && bytes.Contains(append([]byte("\n"), text...), []byte("\nstages:")) {
				files = append(files, file)
			}
		}
	}
	return files
}

// usesOf lists the local plugins of a workflow without starting them. Parameters that a run would
// have to be given do not matter.
func usesOf(project, file string) ([]string, error) {
	var found []string
	_, err := workflow.Load(file, workflow.Options{
		Root: project,
		Describe: func(uses string) (*workflow.PluginSpec, error) {
			if strings.HasPrefix(uses, "./") {
				found = append(found, "./"+path.Clean(uses))
			}
			return nil, nil
		},
	})
	problems, isProblems := asProblems(err)
	problems = slices.DeleteFunc(problems, func(p workflow.Problem) bool { return p.Code == workflow.CodeMissingParam })
	if isProblems && len(problems) == 0 {
		err = nil
	}
	return found, err
}
