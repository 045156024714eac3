package plugins

import (
	"context"
	"syscall"
)

func shell(ctx context.Context, text string) *Cmd {
	c := Command(ctx, "cmd")
	c.SysProcAttr = &syscall.SysProcAttr{CmdLine: cmdLine(text)}
	return c
}
