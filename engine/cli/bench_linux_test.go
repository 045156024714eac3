package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// These benchmarks measure the program as it is built, whole processes on a fresh folder, and
// print our time over that of the peers on PATH. They are meant for a machine with nothing else
// to do:
//
//	go test ./engine/cli -run '^$' -bench . -benchtime 1x
type benched struct {
	b      *testing.B
	binary string
	dir    string
}

// binary is the program, built once for all benchmarks.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "so8t-bench-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "so8t")
	out, err := exec.Command("go", "build", "-o", path, "../..").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func newBenched(b *testing.B, workflow string) benched {
	b.Helper()
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	p := benched{b, path, b.TempDir()}
	if err := os.WriteFile(filepath.Join(p.dir, "so8t.yaml"), []byte(workflow), 0o644); err != nil {
		b.Fatal(err)
	}
	return p
}

func (p benched) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.binary, args...)
	cmd.Dir = p.dir
	return cmd
}

// run runs the program to its end and returns how long that took and the most memory in MiB that
// it or one of its plugins had.
func (p benched) run(args ...string) (time.Duration, float64) {
	p.b.Helper()
	cmd := p.command(args...)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start)
	if err != nil {
		p.b.Fatalf("so8t %s: %v\n%.2000s", strings.Join(args, " "), err, out)
	}
	return took, float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
}

// noops is a workflow of n stages that do nothing, in a chain or side by side.
func noops(chain bool, n int) string {
	var b strings.Builder
	b.WriteString("version: 1\nname: noops\nstages:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%d: { uses: noop, with: { seed: %d", i, i)
		if chain && i > 0 {
			fmt.Fprintf(&b, ", inputs: [\"${stages.s%d.outputs.out}\"]", i-1)
		}
		b.WriteString(" } }\n")
	}
	return b.String()
}

// BenchmarkRun runs stages that do nothing, each in a process of its own, then plans the same
// again, when all is done.
func BenchmarkRun(b *testing.B) {
	for _, chain := range []bool{true, false} {
		for _, n := range []int{1, 100, 1000, 10000} {
			b.Run(fmt.Sprintf("%s/%d", map[bool]string{true: "chain", false: "wide"}[chain], n), func(b *testing.B) {
				for range b.N {
					p := newBenched(b, noops(chain, n))
					b.StartTimer()
					took, memory := p.run("run", "--jobs", "2")
					b.StopTimer()
					b.ReportMetric(float64(took.Microseconds())/float64(n)/1000, "ms/stage")
					b.ReportMetric(memory, "MiB")
					plan, memory := p.run("plan")
					b.ReportMetric(float64(plan.Microseconds())/1000, "ms/plan")
					b.ReportMetric(memory, "MiB-plan")
					ratios(b, chain, n, took)
				}
			})
		}
	}
}

// BenchmarkSyncs counts what waits for the disk, by stage, with strace.
func BenchmarkSyncs(b *testing.B) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		b.Skip("strace is not installed")
	}
	const n = 100
	for range b.N {
		p := newBenched(b, noops(true, n))
		trace := filepath.Join(b.TempDir(), "trace")
		cmd := p.command()
		cmd.Path, cmd.Args = strace, []string{"strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", trace, p.binary, "run", "--jobs", "1"}
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		text, err := os.ReadFile(trace)
		if err != nil {
			b.Fatal(err)
		}
		for name, pattern := range map[string]string{
			"database": `sync\(\d+<.*/state\.db>`, "journal": `sync\(\d+<.*/events\.jsonl>`, "folder": `sync\(\d+<.*/stages/`,
		} {
			count := len(regexp.MustCompile(pattern).FindAll(text, -1))
			b.ReportMetric(float64(count)/n, "syncs-"+name)
		}
	}
}

// BenchmarkStatus asks for the status of a run of 1,000 stages from four processes, 20 times a
// second in all, and says how much that slows the run.
func BenchmarkStatus(b *testing.B) {
	for range b.N {
		alone, _ := newBenched(b, noops(true, 1000)).run("run", "--jobs", "1")
		p := newBenched(b, noops(true, 1000))
		engine := p.command("run", "--jobs", "1", "--json")
		out, err := engine.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if err := engine.Start(); err != nil {
			b.Fatal(err)
		}
		first := bufio.NewReader(out)
		if _, err := first.ReadString('\n'); err != nil { // the run is there
			b.Fatal(err)
		}
		over := make(chan struct{})
		var mu sync.Mutex
		var took []time.Duration
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				tick := time.NewTicker(200 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-over:
						return
					case <-tick.C:
					}
					d, _ := p.run("status", "--json")
					mu.Lock()
					took = append(took, d)
					mu.Unlock()
				}
			})
		}
		_, _ = first.WriteTo(&bytes.Buffer{})
		if err := engine.Wait(); err != nil {
			b.Fatal(err)
		}
		watched := time.Since(start)
		close(over)
		readers.Wait()
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)*9/10].Microseconds())/1000, "ms/status-p90")
		b.ReportMetric(100*(float64(watched)/float64(alone)-1), "%slower")
	}
}

// BenchmarkContinue kills an engine with SIGKILL in the middle of a run and measures from the start
// of the next command to the first event of the stage that it goes on with.
func BenchmarkContinue(b *testing.B) {
	const workflow = "version: 1\nname: killed\nstages:\n  a: { uses: noop, with: { seed: 1 } }\n" +
		"  b: { uses: noop, with: { inputs: [\"${stages.a.outputs.out}\"], steps: 1000, duration: 20s, checkpoint_every: 10 } }\n"
	for range b.N {
		p := newBenched(b, workflow)
		kill := func(cmd *exec.Cmd, until string) (took time.Duration, line string) {
			out, err := cmd.StdoutPipe()
			if err != nil {
				b.Fatal(err)
			}
			start := time.Now()
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				var e struct{ Event, Stage string }
				if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
					b.Fatal(err)
				}
				if e.Event == until && e.Stage == "b" {
					took, line = time.Since(start), lines.Text()
					break
				}
			}
			if line == "" {
				b.Fatalf("no %s", until)
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			return took, line
		}
		kill(p.command("run", "--json"), "checkpoint")
		took, line := kill(p.command("run", "--json"), "stage_started")
		if !strings.Contains(line, "resumed_from") {
			b.Fatalf("it began anew: %s", line)
		}
		b.ReportMetric(float64(took.Microseconds())/1000, "ms/continue")
	}
}

// BenchmarkDigest digests an input of 1 GB for the first time, and eight of 128 MB, beside
// sha256sum on the same files.
func BenchmarkDigest(b *testing.B) {
	for _, files := range []int{1, 8} {
		b.Run(strconv.Itoa(files), func(b *testing.B) {
			for range b.N {
				p := newBenched(b, "version: 1\nname: digest\nstages:\n  a: { uses: noop, with: { inputs: [data] } }\n")
				data := filepath.Join(p.dir, "data")
				if err := os.Mkdir(data, 0o777); err != nil {
					b.Fatal(err)
				}
				part := bytes.Repeat([]byte("0123456789abcdef"), 1<<30/16/files)
				var names []string
				for i := range files {
					names = append(names, filepath.Join(data, strconv.Itoa(i)))
					if err := os.WriteFile(names[i], part, 0o644); err != nil {
						b.Fatal(err)
					}
				}
				start := time.Now()
				if out, err := exec.Command("sha256sum", names...).CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
				theirs := time.Since(start)
				ours, _ := p.run("plan")
				b.ReportMetric(float64(ours)/float64(theirs), "x-sha256sum")
			}
		})
	}
}
