package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/robustio"
)

// A request to end a run lies in a file of its folder and names the epoch that it is meant for,
// so that an engine which takes the run over later does not take it for its own. A file reaches
// the engine where a signal does not: on Windows, and from another process namespace.

func cancelPath(dir, run string) string { return filepath.Join(RunDir(dir, run), cancelName) }

// RequestCancel asks the engine that works on a run in this epoch to end it.
func RequestCancel(dir, run string, epoch int64) error {
	path := cancelPath(dir, run)
	temp := fmt.Sprintf("%s.%d.tmp", path, os.Getpid())
	err := os.WriteFile(temp, []byte(strconv.FormatInt(epoch, 10)+"\n"), 0o666)
	if err == nil {
		err = robustio.Rename(temp, path)
	}
	if err != nil {
		return fmt.Errorf("asking the engine of run %q to end it: %w", run, err)
	}
	return nil
}

// CancelRequested reports whether somebody has asked for the end of a run in this epoch.
func CancelRequested(dir, run string, epoch int64) bool {
	text, err := os.ReadFile(cancelPath(dir, run))
	if err != nil {
		return false
	}
	asked, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return err == nil && asked == epoch
}

// WithdrawCancel removes a request, which has been answered.
func WithdrawCancel(dir, run string) error {
	err := os.Remove(cancelPath(dir, run))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
