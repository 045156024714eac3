//go:build unix

package sdk

import (
	"os"
	"syscall"

	"github.com/so8t/so8t/plugins/internal/wire"
)

// endGroup kills the process group that the engine made for this plugin, this process with
// it. Without the engine's mark the group is somebody else's and only this process ends.
func endGroup() {
	if os.Getenv(wire.MarkKey) != "" {
		_ = syscall.Kill(0, syscall.SIGKILL)
	}
	killSelf()
}
