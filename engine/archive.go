package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// An archive is a tar file, compressed or not: first the header, as JSON, then the files that it
// lists, in that order. Their paths are relative to the run's folder: events.jsonl, the folders of
// the attempts below stages/, and below origins/ the curves of attempts of other runs that these
// went on from. What a stage reuses of another run lies in the archive as an attempt of its own.
const (
	archiveHeader  = "so8t-run.json"
	archiveVersion = 1
	archiveEvents  = "events.jsonl"
	archiveOrigins = "origins"
)

// archiveIndex is the header.
type archiveIndex struct {
	Version int              `json:"version"`
	Records state.RunRecords `json:"records"`
	Files   []manifest.File  `json:"files"`
}

// archived is one file of an archive that is being written: from a path, or from memory.
type archived struct {
	manifest.File
	path string
	text []byte
}

// ExportOptions say what goes into an archive.
type ExportOptions struct {
	// Artifacts includes the outputs, also those reused from other runs.
	Artifacts bool
	// Gzip compresses.
	Gzip bool
}

// Export writes a run as an archive. The run is held meanwhile: nobody resumes or removes it, nor
// what it reuses.
func (e *Engine) Export(ctx context.Context, id string, to io.Writer, opts ExportOptions) error {
	if _, err := e.FindRun(ctx, id); err != nil {
		return err
	}
	lock, err := state.LockRun(e.store.Dir(), id, state.Self(e.opts.Command, id))
	if err != nil {
		return held(id, err)
	}
	defer lock.Release()
	x := &exporter{e: e, opts: opts, origins: map[string]string{}}
	if err := x.collect(ctx, id); err != nil {
		return fmt.Errorf("exporting run %s: %w", id, err)
	}
	if err := x.write(to); err != nil {
		return fmt.Errorf("exporting run %s: %w", id, err)
	}
	return nil
}

type exporter struct {
	e       *Engine
	opts    ExportOptions
	records state.RunRecords
	files   []archived
	// origins are the folders of other runs whose curves are included, with their place.
	origins map[string]string
}

// collect lists what goes into the archive and makes the records point at it.
func (x *exporter) collect(ctx context.Context, id string) error {
	entries := map[string]state.CacheEntry{}
	err := x.e.store.View(ctx, func(tx *state.Tx) error {
		var err error
		if x.records, err = tx.RunRecords(id); err != nil {
			return err
		}
		for _, s := range x.records.Stages {
			if s.Fingerprint == "" {
				continue
			}
			entry, found, err := tx.Cache(s.Fingerprint)
			if err != nil {
				return err
			}
			if found {
				entries[s.Fingerprint] = entry
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	x.settleRecords()
	events, err := state.JournalEvents(x.e.store.Dir(), id)
	if err != nil {
		return err
	}
	if len(events) > 0 {
		x.addText(archiveEvents, events)
	}
	own := len(x.records.Attempts)
	for i := range own {
		a := &x.records.Attempts[i]
		folder := attemptDir(x.e.store.Dir(), id, a.Instance, a.Number)
		if err := x.addAttempt(folder, a); err != nil {
			return err
		}
	}
	for i := range x.records.Stages {
		if err := x.addStage(&x.records.Stages[i], entries); err != nil {
			return err
		}
	}
	return nil
}

// settleRecords takes out what means something on this machine only. Nothing runs in an archive.
func (x *exporter) settleRecords() {
	r := &x.records
	r.Run.Pinned, r.Run.HooksDue = false, false
	if r.Run.State == state.RunRunning {
		r.Run.State = state.RunInterrupted
	}
	for i := range r.Stages {
		if r.Stages[i].Outcome == state.Running {
			r.Stages[i].Outcome = state.Interrupted
		}
	}
	for i := range r.Attempts {
		a := &r.Attempts[i]
		a.Process, a.Leftovers, a.Checkpoints = nil, nil, nil
		if a.Outcome == state.Running {
			a.Outcome = state.Interrupted
		}
	}
}

// addStage adds what a stage reuses of another run, and what it offers for reuse.
func (x *exporter) addStage(s *state.StageRecord, entries map[string]state.CacheEntry) error {
	pin, ok := pinOf(*s)
	if !ok || pin.skipped || s.Outcome != state.Succeeded && s.Outcome != state.Cached {
		return nil
	}
	number := s.Attempts
	if s.Outcome == state.Cached {
		number = s.Attempts + 1
		if err := x.addReused(s, pin, number); err != nil {
			return err
		}
	}
	if x.opts.Artifacts && s.Fingerprint != "" {
		entry := state.CacheEntry{Fingerprint: s.Fingerprint, Run: s.Run, Epoch: s.Epoch, Instance: s.Instance, Attempt: number,
			Outputs: s.Outputs, Metrics: s.Metrics, Parts: entries[s.Fingerprint].Parts, Time: s.Ended}
		x.records.Cache = append(x.records.Cache, entry)
	}
	return nil
}

// addReused makes the attempt whose outputs a stage reuses the latest of the stage's own.
func (x *exporter) addReused(s *state.StageRecord, p pin, number int) error {
	from := x.e.entryFolder(p.entry)
	a := state.Attempt{Run: s.Run, Instance: s.Instance, Number: number, Epoch: s.Epoch, Fingerprint: s.Fingerprint,
		Outcome: state.Succeeded, Started: s.Ended, Ended: s.Ended}
	if err := x.addAttempt(from, &a); err != nil {
		return err
	}
	x.records.Attempts = append(x.records.Attempts, a)
	s.Attempts = number
	was, err := x.e.stateRelative(string(from))
	if err != nil {
		return err
	}
	now, err := x.e.stateRelative(state.AttemptDir(x.e.store.Dir(), s.Run, s.Instance, number))
	if err != nil {
		return err
	}
	outputs := make(map[string]state.OutputRecord, len(s.Outputs))
	for name, o := range s.Outputs {
		rest, below := strings.CutPrefix(o.Path, was+"/")
		if !below {
			return fmt.Errorf("output %q of stage %q lies in %q, not in %q", name, s.Instance, o.Path, was)
		}
		o.Path = now + "/" + rest
		outputs[name] = o
	}
	s.Outputs = outputs
	return nil
}

// addAttempt adds the files of an attempt, which lie in folder, at the attempt's own place.
func (x *exporter) addAttempt(folder attemptFolder, a *state.Attempt) error {
	place := path.Join("stages", state.FolderName(a.Instance), fmt.Sprint(a.Number))
	for _, file := range []string{folder.log(), folder.metrics()} {
		if err := x.addFile(path.Join(place, filepath.Base(file)), file); err != nil {
			return err
		}
	}
	if err := x.addOrigin(place, folder); err != nil || a.Outcome != state.Succeeded {
		return err
	}
	if !x.opts.Artifacts {
		a.OutputsLeftOut = true
		return nil
	}
	m, err := manifest.VerifyOutputs(folder.out(), manifest.Sizes)
	if err != nil {
		return fmt.Errorf("outputs of stage %q: %w (`so8t check` tells more; --no-artifacts leaves them out)", a.Instance, err)
	}
	for _, file := range []string{manifest.PathFor(folder.out()), folder.result()} {
		if err := x.addFile(path.Join(place, filepath.Base(file)), file); err != nil {
			return err
		}
	}
	for _, f := range m.Files {
		x.files = append(x.files, archived{
			File: manifest.File{Path: path.Join(place, "out", f.Path), SHA256: f.SHA256, Bytes: f.Bytes},
			path: filepath.Join(folder.out(), filepath.FromSlash(f.Path)),
		})
	}
	return nil
}

// addOrigin says at place where an attempt went on from. What lies in another run comes along.
func (x *exporter) addOrigin(place string, folder attemptFolder) error {
	o, ok, err := readOrigin(folder.origin())
	if err != nil || !ok {
		return err
	}
	own := "runs/" + x.records.Run.ID + "/"
	if !strings.HasPrefix(o.Folder, own) {
		before := attemptFolder(x.e.inState(o.Folder))
		there, known := x.origins[o.Folder]
		if !known {
			there = path.Join(archiveOrigins, fmt.Sprint(len(x.origins)+1))
			x.origins[o.Folder] = there
			if err := x.addFile(path.Join(there, filepath.Base(before.metrics())), before.metrics()); err != nil {
				return err
			}
			if err := x.addOrigin(there, before); err != nil {
				return err
			}
		}
		o.Folder = own + there
	}
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	x.addText(path.Join(place, filepath.Base(folder.origin())), text)
	return nil
}

// addFile adds a small file, if it is there.
func (x *exporter) addFile(name, from string) error {
	sum, size, err := manifest.FileDigest(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		x.files = append(x.files, archived{File: manifest.File{Path: name, SHA256: sum, Bytes: size}, path: from})
	}
	return err
}

func (x *exporter) addText(name string, text []byte) {
	sum := sha256.Sum256(text)
	x.files = append(x.files, archived{File: manifest.File{Path: name, SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(text))}, text: text})
}

// write writes the archive. The digest of every file is that of the bytes that are written.
func (x *exporter) write(to io.Writer) (err error) {
	if x.opts.Gzip {
		packed, err := gzip.NewWriterLevel(to, gzip.BestSpeed) // weights do not shrink, however long one tries
		if err != nil {
			return err
		}
		defer func() {
			if closeErr := packed.Close(); err == nil {
				err = closeErr
			}
		}()
		to = packed
	}
	index := archiveIndex{Version: archiveVersion, Records: x.records, Files: make([]manifest.File, len(x.files))}
	for i, f := range x.files {
		index.Files[i] = f.File
	}
	text, err := json.Marshal(index)
	if err != nil {
		return err
	}
	out := tar.NewWriter(to)
	if err := writeEntry(out, archiveHeader, int64(len(text)), bytes.NewReader(text)); err != nil {
		return err
	}
	for _, f := range x.files {
		if err := f.write(out); err != nil {
			return fmt.Errorf("%q: %w", f.Path, err)
		}
	}
	return out.Close()
}

func (f archived) write(out *tar.Writer) error {
	if f.path == "" {
		return writeEntry(out, f.Path, f.Bytes, bytes.NewReader(f.text))
	}
	in, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer in.Close()
	sum := sha256.New()
	if err := writeEntry(out, f.Path, f.Bytes, io.TeeReader(in, sum)); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("%w: its content is not what its manifest says", manifest.ErrDamaged)
	}
	return nil
}

// writeEntry writes one regular file, with nothing in its header that differs from time to time.
func writeEntry(out *tar.Writer, name string, size int64, from io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.CopyN(out, from, size)
	return err
}
