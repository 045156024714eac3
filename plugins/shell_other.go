//go:build !windows

package plugins

import "context"

func shell(ctx context.Context, text string) *Cmd {
	return Command(ctx, "/bin/sh", "-e", "-c", text)
}
