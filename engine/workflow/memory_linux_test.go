//go:build linux && !race

package workflow

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// memoryChild names the input that this process, started by TestMemory, is to read.
const memoryChild = "SO8T_TEST_MEMORY"

// many is n lines made by format from the line's number.
func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(format, "#", strconv.Itoa(i)))
	}
	return b.String()
}

// fill is as many lines as a file may hold.
func fill(format string) string {
	n := 0
	for size := 0; size < maxBytes-200; n++ {
		size += len(strings.ReplaceAll(format, "#", strconv.Itoa(n)))
	}
	return many(n-1, format)
}

const sixteen = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"

// heavyInputs are what takes most memory of each kind: some are refused, some are read.
var heavyInputs = map[string]func() string{
	"trivial":              func() string { return "stages: {a: {uses: x}}\n" },
	"alias bomb":           laughs,
	"aliases":              func() string { return "x-a: &a {b: 1}\nx-b:\n" + fill("- *a\n") },
	"merges":               func() string { return "x-a: &a {" + many(300, "k#: 1, ") + "}\nx-b:\n" + fill("- {<<: *a}\n") },
	"100,000 deep":         func() string { return "a: " + strings.Repeat("[", 100_000) },
	"10 MB":                func() string { return "x-a: '" + strings.Repeat("a ", 5_000_000) + "'\n" },
	"empty lines":          func() string { return fill("\n") + "stages: {a: {uses: x}}\n" },
	"comments":             func() string { return fill("#\n") + "stages: {a: {uses: x}}\n" },
	"one list":             func() string { return "x-a:\n" + fill("-\n") },
	"list of lists":        func() string { return "x-a:\n" + fill("- - - - - - - -\n") },
	"one-letter list":      func() string { return "x-a:\n" + fill("- a\n") },
	"small mappings":       func() string { return "x-a:\n" + fill("- {a,b}\n") },
	"tokens in lists":      func() string { return "x-a:\n" + fill("- [a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a]\n") },
	"colons":               func() string { return "x-a:\n" + fill("- ? a\n") },
	"anchors":              func() string { return "x-a:\n" + fill("- &a\n") },
	"tags":                 func() string { return "x-a:\n" + fill("- ! a\n") },
	"block texts":          func() string { return "x-a:\n" + fill("- |\n  a\n") },
	"long text":            func() string { return "x-a: '" + strings.Repeat("a ", maxBytes/2-100) + "'\n" },
	"long plain text":      func() string { return "x-a:\n" + fill("  a\n") },
	"long block text":      func() string { return "x-a: |\n" + fill("  a\n") },
	"escapes":              func() string { return "x-a: \"" + strings.Repeat(`\n`, maxBytes/2-100) + "\"\n" },
	"text of wide letters": func() string { return "x-a: '" + strings.Repeat("東", maxBytes/3-100) + "'\n" },
	"parameters":           func() string { return "params:\n" + many(20_000, "  p#: 1\n") + "stages: {a: {uses: x}}\n" },
	"10,000 stages":        func() string { return "stages:\n" + many(10_000, "  s#: { uses: noop, with: { seed: # } }\n") },
	"20,000 stages":        func() string { return "stages:\n" + many(20_000, "  s#: { uses: noop, with: { seed: # } }\n") },
	"stages":               func() string { return "stages:\n" + many(20_000, "  s#: {uses: x}\n") },
	"stages, full": func() string {
		return "stages:\n" + many(11_800, "  s#: {uses: x, timeout: 1h, retry: 1, priority: 3, needs: [s0]}\n")
	},
	"edges": func() string {
		return "stages:\n" + many(300, "  s#: {uses: x}\n") + many(250, "  t#: {uses: x, needs: ["+many(300, "s#,")+"]}\n")
	},
	"gates": func() string {
		return "stages:\n" + fill("  s#:\n    uses: x\n    gates:\n"+strings.Repeat("    - a>1\n", 200))
	},
	"many gates": func() string {
		return "stages:\n" + many(75, "  s#:\n    uses: x\n    gates:\n"+strings.Repeat("    - a > 1\n", 250))
	},
	"whens": func() string {
		return "params: {p: 1}\nstages:\n" + many(15_000, "  s#: {uses: x, when: params.p > 1}\n")
	},
	"130,000 gates": func() string {
		return "stages:\n" + many(520, "  s#:\n    uses: x\n    gates:\n"+strings.Repeat("    - a\n", 250))
	},
	"expressions": func() string {
		return "stages:\n" + many(300, "  s#: {uses: x, gates: ['"+strings.Repeat("a>1&&", 800)+"a>1']}\n")
	},
	"long expressions": func() string {
		return "stages:\n" + many(250, "  s#: {uses: x, gates: ['"+strings.Repeat("(", 500)+strings.Repeat("a,", 1500)+"']}\n")
	},
	"patterns": func() string {
		return "params:\n" + many(100, "  p#: {type: string, default: b, pattern: '"+strings.Repeat("(b{1000})", 28)+"'}\n") + "stages: {a: {uses: x}}\n"
	},
	"matches": func() string {
		return "stages:\n" + many(100, "  s#: {uses: x, gates: ['string(a) matches \""+strings.Repeat("(b{1000})", 28)+"\"']}\n")
	},
	"many patterns": func() string {
		return "params:\n" + fill(`  p#: {type: string, default: a, pattern: '\pL\pN'}`+"\n") + "stages: {a: {uses: x}}\n"
	},
	"many matches": func() string {
		return "stages:\n" + fill(`  p#: {uses: x, gates: ['string(a) matches "\\pL\\pN"']}`+"\n")
	},
	"matrices": func() string {
		return "stages:\n" + many(100, "  s#: {uses: x, matrix: {a: "+sixteen+", b: "+sixteen+"}}\n")
	},
	"most instances": func() string {
		return "stages:\n" + many(78, "  s#: {uses: x, matrix: {a: "+sixteen+", b: "+sixteen+"}}\n")
	},
	"matrices with values": func() string {
		return "stages:\n" + many(75, "  s#: {uses: x, matrix: {a: "+sixteen+", b: "+sixteen+"}, with: {a: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18]}}\n")
	},
	"matrices with references": func() string {
		return "params: {p: " + strings.Repeat("p", 2000) + "}\nstages:\n" + many(75, "  s#: {uses: x, matrix: {a: "+sixteen+", b: "+sixteen+"}, with: {a: [\"${params.p}${params.p}\",\"${params.p}${params.p}\"]}}\n")
	},
	"matrices with settings": func() string {
		return "slots: {a: 1}\nstages:\n" + many(75, "  s#: {uses: x, matrix: {a: "+sixteen+", b: "+sixteen+"}, timeout: 1h, retry: {max: 1, backoff: 1s, factor: 2, jitter: true, on: [timeout]}, resources: {gpu: 1, cpu: 1, memory: 1GB, disk: 1GB, slots: {a: 1}}, env: {"+many(20, "E#: a, ")+"}}\n")
	},
	"matrix collected by a matrix": func() string {
		return "stages:\n  s: {uses: x, matrix: {a: " + sixteen + ", b: " + sixteen + "}}\n  t: {uses: x, matrix: {c: " + sixteen + ", d: " + sixteen + "}, with: {a: [" + many(100, `"${stages.s.outputs.o}", `) + "]}}\n"
	},
	"needs between matrices": func() string {
		return "stages:\n" + many(70, "  s#: {uses: x, matrix: {a#: "+sixteen+", b#: "+sixteen+"}, needs: ["+"]}\n") + "  t: {uses: x, matrix: {c: " + sixteen + ", d: " + sixteen + "}, needs: [" + many(70, "s#,") + "]}\n"
	},
	"deep matrices": func() string {
		return "stages:\n" + many(75, "  s#: {uses: x, matrix: {a: [1,2], b: [1,2], c: [1,2], d: [1,2], e: [1,2], f: [1,2], g: [1,2], h: [1,2]}}\n")
	},
	"problems": func() string { return "stages:\n" + fill("  s#: {use: x}\n") },
	"many problems": func() string {
		return "stages:\n" + many(8000, "  s#: {uses: x, needs: [a,b,c], wher: 1, with: \"${x}\", gates: [\"x(\"]}\n")
	},
	"long line of problems": func() string { return "stages: {" + many(9000, "s#: {use: x, whit: 1, when: 3},") + "}\n" },
	"secrets":               func() string { return "secrets:\n" + fill("- S#\n") + "stages: {a: {uses: x}}\n" },
	"one line":              func() string { return "x-a: [" + many(29_000, "'#', ") + "]\n" },
}

// TestMemoryChild is the child of TestMemory: it reads one input.
func TestMemoryChild(t *testing.T) {
	name := os.Getenv(memoryChild)
	if name == "" {
		t.Skip("started by TestMemory")
	}
	w, err := Parse("w.yaml", []byte("version: 1\n"+heavyInputs[name]()), Options{})
	problems, _ := err.(Problems)
	said := ""
	if len(problems) > 0 {
		said = problems[0].Code
	}
	fmt.Printf("peak %d KiB, workflow %v, %d problems %s\n", peak(t), w != nil, len(problems), said)
}

// peak is the most memory that this process has held, in KiB.
func peak(t *testing.T) int {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int
		if _, err := fmt.Sscanf(lines.Text(), "VmHWM: %d kB", &kib); err == nil {
			return kib
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// maxMemory is what reading a workflow may take above what reading a small one takes, in KiB.
const maxMemory = 100 << 10

func TestMemory(t *testing.T) {
	child := func(name string) (kib int) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestMemoryChild$")
		cmd.Env = append(os.Environ(), memoryChild+"="+name, "GOGC=100", "GOMEMLIMIT=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		said, _, _ := strings.Cut(string(out), "\n")
		t.Logf("%s: %s", name, said)
		if _, err := fmt.Sscanf(said, "peak %d KiB", &kib); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return kib
	}
	small := child("trivial")
	for _, name := range slices.Sorted(maps.Keys(heavyInputs)) {
		if kib := child(name); kib-small > maxMemory {
			t.Errorf("%s: %d MiB", name, (kib-small)>>10)
		}
	}
}
