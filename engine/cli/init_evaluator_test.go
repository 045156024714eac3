package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInit_EvaluatorInGoBuilds: what init writes is a program that conforms, with nothing edited.
func TestInit_EvaluatorInGoBuilds(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("no Go command: %v", err)
	}
	dir := t.TempDir()
	command := func(args ...string) *exec.Cmd {
		c := exec.Command("so8t", args...)
		c.Dir, c.Env = dir, append(os.Environ(), "EXAMPLES="+absolute(t, "../../plugins/examples"))
		return c
	}
	so8t := func(args ...string) string {
		t.Helper()
		out, err := command(args...).CombinedOutput()
		if err != nil {
			t.Fatalf("so8t %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	so8t("init", "polite", "--template", "evaluator-go")
	// A workspace stands in for the module proxy.
	work := filepath.Join(dir, "go.work")
	text := fmt.Sprintf("go 1.26.0\n\nuse (\n\t%q\n\t%q\n)\n", filepath.Join(dir, "polite"), absolute(t, "../.."))
	if err := os.WriteFile(work, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command(tool, "build", "-o", "polite", ".")
	build.Dir = filepath.Join(dir, "polite")
	build.Env = append(os.Environ(), "GOWORK="+work, "GOPROXY=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building it: %v\n%s", err, out)
	}
	alone := command("init", "other", "--template", "evaluator-go", "--build")
	alone.Env = append(alone.Env, "PATH="+dir) // without a Go command
	if out, _ := alone.CombinedOutput(); alone.ProcessState.ExitCode() != 5 || !strings.Contains(string(out), "go is not installed") {
		t.Errorf("without the Go command: exit %d: %s", alone.ProcessState.ExitCode(), out)
	}
	if out := so8t("plugins", "describe", "./polite"); !strings.Contains(out, "polite_rate") {
		t.Errorf("it describes itself as\n%s", out)
	}
}
