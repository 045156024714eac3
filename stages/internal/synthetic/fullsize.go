package synthetic

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/so8t/so8t/stages/internal/phi3"
)

// fullRank is the guide's.
const fullRank = 64

// WriteFullSize makes DIR/base, of Phi-4-mini's size (7.7 GB), and DIR/adapter (0.4 GB), with what
// a training at the guide's settings leaves. What is there already stays.
func WriteFullSize(dir string) error {
	c := phi3.Phi4Mini()
	base, adapter := filepath.Join(dir, "base"), filepath.Join(dir, "adapter")
	if _, err := os.Stat(filepath.Join(base, "config.json")); errors.Is(err, fs.ErrNotExist) {
		if err := WriteFolder(base, c, 1); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(adapter, "so8t_config.json")); errors.Is(err, fs.ErrNotExist) {
		return WriteAdapter(adapter, c, fullRank, 1)
	}
	return nil
}
