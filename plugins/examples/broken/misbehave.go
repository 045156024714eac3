package broken

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/so8t/so8t/plugins"
)

// child is the role of a process that a plugin leaves behind.
const child = "child"

// linger says that it is there, and stays until it is killed.
func linger() error {
	if _, err := os.Stdout.WriteString("ready\n"); err != nil {
		return err
	}
	select {}
}

// misbehave is what goes wrong in Run.
func misbehave(r *run, fault string) error {
	a := r.attempt
	switch fault {
	case Chatters:
		chatter(a)
	case "lazy":
		r.scores = ""
	case "undeclared":
		r.metrics["surprise"] = 1
	case "undeclared-series":
		a.Metric("surprise", 1, 1)
	case "mute":
		r.metrics = nil
	case "backwards":
		a.Progress(9, 10, "row")
		a.Progress(3, 10, "row")
	case "overshoots":
		a.Progress(9, 5, "row")
	case "random":
		r.scores = rand.Text()
	case "crashes":
		panic("oh no")
	case "leaves":
		os.Exit(0)
	case "deaf", "sulks":
		return ignoreStop(a, fault)
	case Stubborn:
		select {}
	case "parent":
		return leaveChild()
	case "litters":
		return os.WriteFile(filepath.Join(a.ProjectDir, "litter"), nil, 0o644)
	case "stray":
		return os.WriteFile(filepath.Join(a.OutputDir, "stray.txt"), []byte("x"), 0o644)
	case "spoils-input":
		return spoil(r.predictions)
	case "deletes-input":
		return os.Remove(r.predictions)
	}
	return shout(fault)
}

// shout prints more, or something else, than a log can hold.
func shout(fault string) error {
	const mega = 1 << 20
	var what []byte
	times := 1
	switch fault {
	case "floods":
		what, times = bytes.Repeat([]byte("0123456789abcde\n"), mega/16), 100
	case "long-line":
		what = append(bytes.Repeat([]byte("x"), mega), '\n')
	case "binary":
		what = make([]byte, mega)
		_, _ = rand.Read(what) // it never fails
	}
	for range times {
		if _, err := os.Stderr.Write(what); err != nil {
			return err
		}
	}
	return nil
}

// chatter reports tens of thousands of things, some larger than anybody needs.
func chatter(a *plugins.Attempt) {
	const times = 20_000
	long := string(bytes.Repeat([]byte("long "), 1000))
	for i := range int64(times) {
		a.Progress(i, times, "row")
		a.Metric("right", float64(i), i)
		a.Report(plugins.Progress{Done: i, Total: times, Unit: "row", Message: long})
		if i%10 == 0 {
			a.Log(long)
			a.Warn("again")
		}
	}
}

// spoil changes a file without changing its size or time.
func spoil(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil || len(content) == 0 {
		return err
	}
	content[0] ^= 1
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	return os.Chtimes(path, info.ModTime(), info.ModTime())
}

// ignoreStop goes on, or ends in a way that is no stop, when it is asked to stop; in the suite's
// other runs nobody asks.
func ignoreStop(a *plugins.Attempt, fault string) error {
	if filepath.Base(filepath.Dir(a.OutputDir)) != "stop" {
		return nil
	}
	<-a.Stop
	if fault == "sulks" {
		return errors.New("why should I?")
	}
	select {}
}

// leaveChild starts a process in a session of its own and does not end it.
func leaveChild() error {
	cmd := exec.CommandContext(context.Background(), os.Args[0]) // not plugins.Command, which would end it
	cmd.Env = append(os.Environ(), RoleKey+"="+child)
	detach(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err = out.Read(make([]byte, 1)) // it is there
	return err
}
