package sdk

import (
	"io"
	"os"
	"time"
)

// parentInterval is how often the plugin looks whether its parent is another one, where no
// signal says so. The pipe tells sooner; this is for a pipe that something else holds open.
const parentInterval = 2 * time.Second

// watchEngine ends the process, and what it started, when the engine is gone: standard input
// is a pipe whose other end only the engine holds, and it ends with the engine however the
// engine ends.
func watchEngine() {
	watchSignal()
	pipe := os.Stdin
	go func() {
		_, _ = io.Copy(io.Discard, pipe) // however it ends, the engine is gone
		endGroup()
	}()
	parent := os.Getppid()
	go func() {
		for range time.Tick(parentInterval) {
			if os.Getppid() != parent {
				endGroup()
			}
		}
	}()
}

// killSelf ends this process as a power cut would: nothing deferred runs.
func killSelf() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		_ = self.Kill()
	}
	select {} // the signal is on its way
}
