package engine_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/so8t/so8t/engine"
)

// BenchmarkRun measures whole runs of stages that do nothing, each in a process of its own:
// wall time a stage, the engine's peak memory, and our time over that of GNU make, Snakemake and
// Dagu on the same graph, of those that are installed.
//
//	go test ./engine -run '^$' -bench Run -benchtime 1x
func BenchmarkRun(b *testing.B) {
	for _, shape := range []string{"chain", "wide"} {
		for _, n := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", shape, n), func(b *testing.B) {
				for range b.N {
					h := open(b, project(b, noops(shape, n)))
					start := time.Now()
					h.run(engine.Selection{}, nil)
					ours := time.Since(start)
					b.ReportMetric(float64(ours.Microseconds())/float64(n)/1000, "ms/stage")
					again := time.Now()
					h.plan(engine.Selection{}, nil)
					b.ReportMetric(float64(time.Since(again).Microseconds())/1000, "ms/plan")
					b.ReportMetric(peakRSS(b), "MiB")
					b.StopTimer()
					ratios(b, shape == "chain", n, ours)
					b.StartTimer()
				}
			})
		}
	}
}

func noops(shape string, n int) string {
	var b strings.Builder
	b.WriteString("version: 1\nname: noops\nstages:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%d: { uses: noop, with: { seed: %d", i, i)
		if shape == "chain" && i > 0 {
			fmt.Fprintf(&b, ", inputs: [\"${stages.s%d.outputs.out}\"]", i-1)
		}
		b.WriteString(" } }\n")
	}
	return b.String()
}

// peakRSS is the most memory this process has had, in MiB; 0 where that is unknown.
func peakRSS(b *testing.B) float64 {
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			kib, err := strconv.Atoi(fields[1])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	return 0
}
