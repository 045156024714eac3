package state

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// Names inside a state folder.
const (
	databaseName = "state.db"
	lockName     = "state.lock"
	turnName     = "state.turn"
	runsName     = "runs"
	locksName    = "locks"
	journalName  = "events.jsonl"
	liveName     = "live.json"
	runLockName  = "lock"
	cancelName   = "cancel"
	stagesName   = "stages"
	collectName  = "gc.lock"
	trashName    = "trash"
	incomingName = "incoming"
)

// RunDir is the folder of a run.
func RunDir(dir, run string) string { return filepath.Join(dir, runsName, run) }

// StageDir is the folder of an instance's attempts.
func StageDir(dir, run, instance string) string {
	return filepath.Join(RunDir(dir, run), stagesName, FolderName(instance))
}

// AttemptDir is the folder of one attempt: its final name from the start, never reused.
func AttemptDir(dir, run, instance string, number int) string {
	return filepath.Join(StageDir(dir, run, instance), strconv.Itoa(number))
}

// attemptFolders lists the folders of a run's attempts that fit.
func attemptFolders(dir, run string, fits func(path string) bool) ([]string, error) {
	stages := filepath.Join(RunDir(dir, run), stagesName)
	instances, err := readFolder(stages)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, instance := range instances {
		attempts, err := readFolder(filepath.Join(stages, instance.Name()))
		if err != nil {
			return nil, err
		}
		for _, e := range attempts {
			path := filepath.Join(stages, instance.Name(), e.Name())
			if _, err := strconv.Atoi(e.Name()); err == nil && e.IsDir() && fits(path) {
				found = append(found, path)
			}
		}
	}
	return found, nil
}

// JournalPath is the journal of a run.
func JournalPath(dir, run string) string { return filepath.Join(RunDir(dir, run), journalName) }

// maxFolderName leaves room below the 255 bytes of common file systems for suffixes.
const maxFolderName = 120

// FolderName turns an instance ("train[r=8]") into a name that every file system takes:
// other characters become %XX, and what is too long, or differs from another instance
// only by case, is told apart by a digest.
func FolderName(instance string) string {
	var b strings.Builder
	exact := true
	for i := 0; i < len(instance); i++ {
		c := instance[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("_-=,[]", c) >= 0, c == '.' && i > 0 && i < len(instance)-1:
			b.WriteByte(c)
		case c >= 'A' && c <= 'Z':
			b.WriteByte(c)
			exact = false // Windows and macOS fold case
		default:
			const digits = "0123456789abcdef"
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	name := b.String()
	if exact && len(name) <= maxFolderName && name != "" && !deviceName(name) {
		return name
	}
	if len(name) > maxFolderName {
		name = name[:maxFolderName]
	}
	sum := sha256.Sum256([]byte(instance))
	return name + "~" + hex.EncodeToString(sum[:4])
}

// deviceName tells names that are devices on Windows, with whatever extension.
func deviceName(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	switch base {
	case "con", "prn", "aux", "nul":
		return true
	}
	return len(base) == 4 && (base[:3] == "com" || base[:3] == "lpt") && base[3] >= '0' && base[3] <= '9'
}

// InstanceOf is the instance whose FolderName this is; false when the name does not tell: too long a one
// is cut.
func InstanceOf(folder string) (string, bool) {
	name, _, _ := strings.Cut(folder, "~")
	instance, err := url.PathUnescape(name)
	return instance, err == nil && FolderName(instance) == folder
}
