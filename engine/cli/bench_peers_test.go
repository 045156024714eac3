package cli_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// peer is another workflow runner, to compare whole runs of nothing with.
type peer struct {
	name string
	// file is what it reads, for n steps in a chain or side by side.
	file func(chain bool, n int) string
	args func(file string) []string
	// most is the largest graph that it is given: more takes it minutes, or it fails.
	most int
}

var peers = []peer{
	{"make", makefile, func(file string) []string { return []string{"-s", "-f", file, "-j2"} }, 10000},
	{"task", taskfile, func(file string) []string { return []string{"-s", "-C", "2", "-t", file, "all"} }, 1000},
	{"snakemake", snakefile, func(file string) []string { return []string{"-q", "all", "-j2", "-s", file} }, 1000},
	{"dagu", daguFile, func(file string) []string { return []string{"start", "-q", file} }, 1000},
}

func makefile(chain bool, n int) string {
	var b strings.Builder
	b.WriteString("all:")
	for i := range n {
		fmt.Fprintf(&b, " s%d", i)
	}
	b.WriteString("\n")
	for i := range n {
		fmt.Fprintf(&b, "s%d:", i)
		if chain && i > 0 {
			fmt.Fprintf(&b, " s%d", i-1)
		}
		fmt.Fprintf(&b, "\n\t@touch s%d\n", i)
	}
	return b.String()
}

func taskfile(chain bool, n int) string {
	var b strings.Builder
	b.WriteString("version: '3'\ntasks:\n  all:\n    deps:\n")
	for i := range n {
		fmt.Fprintf(&b, "      - s%d\n", i)
	}
	for i := range n {
		fmt.Fprintf(&b, "  s%d:\n    run: once\n    cmds: ['touch s%d']\n", i, i)
		if chain && i > 0 {
			fmt.Fprintf(&b, "    deps: [s%d]\n", i-1)
		}
	}
	return b.String()
}

func snakefile(chain bool, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rule all:\n    input: expand('s{i}', i=range(%d))\n", n)
	for i := range n {
		fmt.Fprintf(&b, "rule r%d:\n", i)
		if chain && i > 0 {
			fmt.Fprintf(&b, "    input: 's%d'\n", i-1)
		}
		fmt.Fprintf(&b, "    output: 's%d'\n    shell: 'touch {output}'\n", i)
	}
	return b.String()
}

func daguFile(chain bool, n int) string {
	var b strings.Builder
	b.WriteString("steps:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - name: s%d\n    command: \"true\"\n", i)
		if chain && i > 0 {
			fmt.Fprintf(&b, "    depends: [s%d]\n", i-1)
		}
	}
	return b.String()
}

// ratios reports our time over that of each peer that is installed: below 1 is faster. Why a peer
// gives none is logged.
func ratios(b *testing.B, chain bool, n int, ours time.Duration) {
	for _, p := range peers {
		theirs, err := p.run(b, chain, n)
		if err != nil {
			b.Logf("no ratio to %s with %d steps: %v", p.name, n, err)
			continue
		}
		b.ReportMetric(float64(ours)/float64(theirs), "x-"+p.name)
	}
}

func (p peer) run(b *testing.B, chain bool, n int) (time.Duration, error) {
	path, err := exec.LookPath(p.name)
	if err != nil {
		return 0, errors.New("it is not installed")
	}
	if n > p.most {
		return 0, errors.New("more than it is given")
	}
	dir := b.TempDir()
	file := filepath.Join(dir, p.name+".yaml")
	if err := os.WriteFile(file, []byte(p.file(chain, n)), 0o644); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(path, p.args(file)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "DAGU_CHECK_UPDATES=false")
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %.200s", err, out)
	}
	return time.Since(start), nil
}
