//go:build unix

package sdk

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/internal/lineage"
)

// engineMargin is how long after a signal the end of standard input may take to be seen, when
// the signal says that the engine is gone.
const engineMargin = time.Second

// watchSignal holds up the signals that come when the engine dies (SIGTERM from the host's
// parent-death signal, SIGHUP when the process group was stopped): the end of standard input
// comes with them, and then everything that the stage started is ended too, not this process
// alone. A signal from somebody else does a moment later what it always does; one with which the
// stage itself ends its programs does nothing here.
func watchSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		s := <-signals
		for s == syscall.SIGTERM && plugins.OwnSignal() {
			s = <-signals
		}
		<-time.After(engineMargin)
		signal.Reset(s)
		_ = syscall.Kill(os.Getpid(), s.(syscall.Signal))
	}()
}

// endGroup kills what descends from this plugin, also in other sessions, then the process
// group that the engine made for it, this process with it. Without the engine's mark the group
// is somebody else's and only this process ends.
func endGroup() {
	if mark := os.Getenv(lineage.MarkKey); mark != "" {
		lineage.KillMarked(mark)
		_ = syscall.Kill(0, syscall.SIGKILL)
	}
	killSelf()
}
