package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/so8t/so8t/plugins"
)

// maxBase is how long the path of the folder for sockets may be: unix socket paths end at
// 107 bytes, and go-plugin adds up to 40 ("/plugin-dir1234567890/plugin1234567890"). On Windows
// its plugins listen on the loopback address.
const maxBase = 107 - 42

// folderPrefix is followed by the place (boot and process namespace), the pid and the birth
// of the engine whose folder it is.
const folderPrefix = "so8t-"

// sockets is the one private folder of this process for the sockets of its plugins. It exists
// while there are plugins.
var sockets folder

type folder struct {
	mu    sync.Mutex
	users int
	path  string
	swept bool
}

// enter returns the folder; leave must follow.
func (f *folder) enter() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users == 0 {
		path, err := f.make()
		if err != nil {
			return "", plugins.Errorf(plugins.Unavailable, "making a folder for sockets: %w", err)
		}
		f.path = path
	}
	f.users++
	return f.path, nil
}

func (f *folder) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users--; f.users == 0 {
		_ = os.RemoveAll(f.path) // what stays is swept by the next engine
	}
}

func (f *folder) make() (string, error) {
	name := folderPrefix + place() + "-" + strconv.Itoa(os.Getpid()) + "-" + birthTicks(os.Getpid())
	var first error
	for _, base := range socketBases() {
		if runtime.GOOS != "windows" && len(base)+1+len(name) > maxBase {
			continue
		}
		if !f.swept {
			sweepFolders(base)
		}
		path := filepath.Join(base, name)
		err := os.Mkdir(path, 0o700)
		if errors.Is(err, fs.ErrExist) {
			// Our own pid and birth: left by this process, or a trap laid by another user,
			// which we cannot remove.
			err = os.RemoveAll(path)
			if err == nil {
				err = os.Mkdir(path, 0o700)
			}
		}
		if err == nil {
			f.swept = true
			return path, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = errors.New("XDG_RUNTIME_DIR and TMPDIR are too long for a unix socket; set TMPDIR to a shorter path")
	}
	return "", first
}

// socketBases lists where a private folder may be made, the best first.
func socketBases() []string {
	var bases []string
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		if info, err := os.Stat(dir); err == nil && info.IsDir() && info.Mode().Perm()&0o077 == 0 {
			bases = append(bases, dir)
		}
	}
	if runtime.GOOS == "linux" {
		// In memory: three names come and go with each plugin, and ext4 without a journal looks
		// past every inode of the last five seconds when it makes the next.
		bases = append(bases, "/dev/shm")
	}
	bases = append(bases, os.TempDir())
	if os.PathSeparator == '/' {
		bases = append(bases, "/tmp")
	}
	return bases
}

// SweepSockets removes what engines that are not there any more left of their folders for sockets.
func SweepSockets() {
	for _, base := range socketBases() {
		sweepFolders(base)
	}
}

// sweepFolders removes the folders of engines that are not there any more: of this boot and
// process namespace, with a pid that is free or another process by now.
func sweepFolders(base string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return // another base may do
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), folderPrefix+place()+"-")
		if !ok || !e.IsDir() {
			continue
		}
		text, birth, ok := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(text)
		if !ok || err != nil || pid == os.Getpid() || birthTicks(pid) == birth {
			continue
		}
		_ = os.RemoveAll(filepath.Join(base, e.Name())) // another user's stays
	}
}
