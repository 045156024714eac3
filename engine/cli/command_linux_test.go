package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// shells is a program with a child, both of which say when they were asked to end. The child takes
// longer for it than a stage that gets a SIGTERM from somebody else would live.
const shells = `
version: 1
name: shells
stages:
  a:
    uses: command
    with:
      env: { SEEN: %s }
      run: |
        trap 'echo parent >> "$SEEN"; wait; exit 0' TERM
        sh -c 'trap "sleep 2; echo child >> \"$SEEN\"; exit 0" TERM; echo ready > "$SEEN"; while :; do sleep 0.05; done' &
        wait
`

// Ctrl-C asks the whole family of a command to end and waits until it has, and the run is
// interrupted, not failed.
func TestCommand_Interrupted_AsksTheWholeGroup(t *testing.T) {
	p := newProject(t, "")
	seen := filepath.Join(t.TempDir(), "seen")
	p.write("so8t.yaml", fmt.Sprintf(shells, seen))
	b := p.start("run")
	b.await("stage_started")
	read := func() string {
		text, _ := os.ReadFile(seen)
		return string(text)
	}
	if !eventually(func() bool { return read() == "ready\n" }) {
		t.Fatal("the program did not start")
	}
	b.signal(syscall.SIGINT)
	if code := b.wait(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	if got := read(); got != "ready\nchild\nparent\n" && got != "ready\nparent\nchild\n" {
		t.Errorf("seen: %q", got)
	}
	if s := p.status(); s.State != "interrupted" || s.Stages[0].Outcome != "interrupted" {
		t.Errorf("%+v", s)
	}
	p.noProcessLeft()
}
