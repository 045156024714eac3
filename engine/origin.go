package engine

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
)

// origin says, in an attempt's folder, which attempt it goes on from: what the curves of a metric
// are put together by. The database knows it too, but not where a reused attempt's folder is.
type origin struct {
	Folder string `json:"folder"` // relative to the state folder
	Step   int64  `json:"step"`
}

func (f attemptFolder) origin() string { return f.join("resumed.json") }

func writeOrigin(path string, o origin) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o666)
}

func readOrigin(path string) (o origin, ok bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return o, false, nil
	}
	if err != nil {
		return o, false, err
	}
	return o, json.Unmarshal(text, &o) == nil, nil
}
