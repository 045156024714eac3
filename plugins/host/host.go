// Package host starts the processes of plugins, speaks with them, and sees to it that
// nothing of them is left. Built-in and foreign plugins go through the same Launch.
//
// A plugin is started from one operating-system thread that never ends, in a process group
// of its own, with a parent-death signal, with the read end of a pipe that only the engine
// holds open as its standard input, with a fixed base of variables, and with a higher
// oom_score_adj. What it prints is copied, redacted and bounded, into the attempt's log;
// nothing it prints is parsed but the handshake line. Its sockets lie in a private folder.
//
// The engine becomes a child subreaper at the first launch, so that what a plugin leaves
// behind becomes its child and is found when the plugin ends.
package host

import (
	"io"
	"os"
	"time"

	"github.com/so8t/so8t/plugins/manifest"
)

// Command says what to start.
type Command struct {
	// Path of the program; a name without a slash is looked up on the engine's PATH.
	Path string
	Args []string
	// Env are variables besides the fixed base (PATH, HOME, TMPDIR, SystemRoot,
	// LD_LIBRARY_PATH, LANG), which they may override.
	Env map[string]string
	// Dir is the working folder; empty is the engine's own.
	Dir string
	// Builtin plugins are the engine's own binary: started when the file was replaced
	// meanwhile, they refuse, by BuildID.
	Builtin bool
	// BuildID of the engine, see SelfBuildID; compared when Builtin and not empty.
	BuildID string
	// StartTimeout that the plugin itself asks for; 0 is that of the Options.
	StartTimeout time.Duration
}

// Foreign is the command of a plugin that is not built in. Variables that it declares without
// a value are those of the engine.
func Foreign(p *manifest.Plugin) Command {
	c := Command{
		Path: p.Command[0], Args: p.Command[1:], Dir: p.Dir, Env: map[string]string{}, StartTimeout: p.StartTimeout,
	}
	for name, value := range p.Env {
		if value != nil {
			c.Env[name] = *value
		} else if v, ok := os.LookupEnv(name); ok {
			c.Env[name] = v
		}
	}
	return c
}

// Options are how to treat a plugin. The zero value is usable.
type Options struct {
	// Name is for messages: the stage's name.
	Name string
	// StartTimeout bounds the time until the handshake; 0 is 10 s.
	StartTimeout time.Duration
	// CallTimeout bounds Describe and Check; 0 is 60 s.
	CallTimeout time.Duration
	// Heartbeat is how long a running stage may give no sign of life; 0 is 60 s. The clock
	// stands still while the machine sleeps and while the plugin is suspended.
	Heartbeat time.Duration
	// Log gets what the plugin prints and its log lines, redacted; nil drops it. It is
	// written by one goroutine at a time and not after Close. Lines that the plugin reports
	// as events are written to it too.
	Log io.Writer
	// LogLimit is how many bytes go to Log at most; 0 is 64 MiB. The rest is dropped, and
	// the log's last line says so.
	LogLimit int64
	// Secrets are replaced by *** wherever the plugin says them: in its output, in
	// events, in errors.
	Secrets []string
	// Started gets the record of the process as soon as it exists, before the plugin is
	// asked to do anything. An error ends the launch.
	Started func(Record) error
}

// Record identifies a process for good: a process id alone is given again. Stored before a
// stage runs, it lets a later engine sweep what a killed one left behind.
type Record struct {
	PID int `json:"pid"`
	// Birth is when the process started, by a clock that tells it apart from any other
	// with the same id (boot id and ticks since boot on Linux).
	Birth string `json:"birth"`
	// Mark is unique to one launch and inherited by every process that descends from it.
	Mark string `json:"mark"`
}
