package state

import "slices"

// Published is what engines have put at a path of the project, outside the state folder. It is
// written before the file is put there, so that a file with another digest is somebody else's.
type Published struct {
	Path  string `json:"path"` // relative to the project, with slashes
	Run   string `json:"run"`
	Epoch int64  `json:"epoch"` // of the run that wrote it
	// SHA256 are the digests of what was put there, the latest first.
	SHA256 []string `json:"sha256"`
}

// maxPublished bounds how many earlier digests of one path are remembered.
const maxPublished = 32

// keyPublished is where Published begin in the bucket of what belongs to no run.
const keyPublished = "published"

// Published returns what was put at a path; false when nothing ever was.
func (t *Tx) Published(path string) (Published, bool, error) {
	var p Published
	key, err := textKey(keyPublished, path)
	if err != nil {
		return p, false, err
	}
	found, err := t.get(bucketMeta, key, &p)
	return p, found, err
}

// AddPublished says that an engine is about to put something of this digest at a path.
func (t *Tx) AddPublished(run string, epoch int64, path, sha256 string) error {
	if err := t.fenceRun(run, "publication of "+path, epoch); err != nil {
		return err
	}
	p, _, err := t.Published(path)
	if err != nil || len(p.SHA256) > 0 && p.SHA256[0] == sha256 {
		return err
	}
	older := slices.DeleteFunc(p.SHA256, func(s string) bool { return s == sha256 })
	all := append([]string{sha256}, older...)
	return t.putPublished(Published{Path: path, Run: run, Epoch: epoch, SHA256: all[:min(len(all), maxPublished)]})
}

func (t *Tx) putPublished(p Published) error {
	key, err := textKey(keyPublished, p.Path)
	if err != nil {
		return err
	}
	return t.putLogged(bucketMeta, key, p, p.Run, kindPublished, "publication of "+p.Path)
}
