package engine

import (
	"archive/tar"
	"bufio"
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
	"slices"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// ArchiveError says that a file is no archive of a run, or a damaged one.
type ArchiveError struct{ Reason string }

func (e *ArchiveError) Error() string {
	return "this is no whole archive of a run: " + e.Reason
}

func badArchive(format string, args ...any) error {
	return &ArchiveError{Reason: fmt.Sprintf(format, args...)}
}

// Bounds of what an archive may hold beside the bytes of its files.
const (
	maxArchiveHeader = 256 << 20 // bytes
	maxArchiveFiles  = 2_000_000
	maxArchiveTail   = 1 << 20 // bytes after the last file
)

// Import adds the run in an archive. Every file is checked against the digest in the header, and
// the outputs against their manifests, before anything of it is visible.
func (e *Engine) Import(ctx context.Context, from io.Reader) (id string, err error) {
	in, err := openArchive(from)
	if err != nil {
		return "", fmt.Errorf("importing a run: %w", err)
	}
	id = in.index.Records.Run.ID
	if err := e.roomFor(ctx, in); err != nil {
		return id, fmt.Errorf("importing run %s: %w", id, err)
	}
	incoming, err := e.store.NewIncoming(id)
	if err != nil {
		return id, err
	}
	err = e.unpack(ctx, in, incoming)
	if err == nil {
		err = e.store.Admit(context.WithoutCancel(ctx), incoming, in.index.Records)
	}
	if err != nil {
		return id, errors.Join(fmt.Errorf("importing run %s: %w", id, err), incoming.Discard())
	}
	return id, nil
}

// roomFor refuses early what cannot be imported.
func (e *Engine) roomFor(ctx context.Context, in *archiveReader) error {
	id := in.index.Records.Run.ID
	err := e.store.View(ctx, func(tx *state.Tx) error {
		_, err := tx.Run(id)
		return err
	})
	switch {
	case err == nil:
		return state.ErrExists
	case !errors.Is(err, state.ErrNoRun):
		return err
	}
	if free := freeDisk(e.store.Dir()); free > 0 && in.bytes() > free {
		return plugins.Errorf(plugins.OutOfDisk, "it takes %s, %s are free in %s", byteText(in.bytes()), byteText(free), e.store.Dir())
	}
	return nil
}

// unpack writes the files of an archive below the incoming folder, verifies them and makes them
// durable.
func (e *Engine) unpack(ctx context.Context, in *archiveReader, to *state.Incoming) error {
	folders := map[string]bool{to.Folder: true}
	err := in.each(func(f manifest.File, content io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		place := filepath.Join(to.Folder, filepath.FromSlash(f.Path))
		for dir := filepath.Dir(place); !folders[dir]; dir = filepath.Dir(dir) {
			folders[dir] = true
		}
		if err := os.MkdirAll(filepath.Dir(place), 0o777); err != nil {
			return err
		}
		return writeNew(place, content)
	})
	if err != nil {
		return err
	}
	if err := to.KeepEvents(); err != nil {
		return err
	}
	for _, a := range in.index.Records.Attempts {
		if err := verifyImported(to.Folder, in.index.Records, a); err != nil {
			return err
		}
	}
	for dir := range folders {
		if err := e.disk.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// writeNew writes a file that must not be there, durably.
func writeNew(place string, content io.Reader) error {
	f, err := os.OpenFile(place, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// verifyImported compares the outputs of an attempt with their manifest, and that with the records.
func verifyImported(folder string, r state.RunRecords, a state.Attempt) error {
	if a.Outcome != state.Succeeded || a.OutputsLeftOut {
		return nil
	}
	f := attemptFolder(filepath.Join(folder, "stages", state.FolderName(a.Instance), fmt.Sprint(a.Number)))
	m, err := manifest.VerifyOutputs(f.out(), manifest.Contents)
	if err != nil {
		return badArchive("outputs of stage %q: %v", a.Instance, err)
	}
	root := path.Join("runs", r.Run.ID, "stages", state.FolderName(a.Instance), fmt.Sprint(a.Number), "out")
	for _, s := range r.Stages {
		if s.Instance != a.Instance || s.Attempts != a.Number {
			continue
		}
		for name, o := range s.Outputs {
			if sealed, ok := m.Output(name); !ok || sealed.SHA256 != o.SHA256 || o.Path != path.Join(root, sealed.Path) {
				return badArchive("output %q of stage %q is not the one in its manifest", name, s.Instance)
			}
		}
	}
	return nil
}

// archiveReader reads an archive: the header when it is opened, then each file once.
type archiveReader struct {
	index archiveIndex
	files *tar.Reader
	raw   io.Reader // what lies under files, without the compression
}

// openArchive reads and checks the header.
func openArchive(from io.Reader) (*archiveReader, error) {
	in := bufio.NewReaderSize(from, 256<<10)
	a := &archiveReader{raw: in}
	if magic, err := in.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, badArchive("%v", err)
		}
		a.raw = unpacked
	}
	a.files = tar.NewReader(a.raw)
	h, err := a.files.Next()
	if err != nil {
		return nil, badArchive("%v", err)
	}
	if h.Name != archiveHeader || !plain(h) || h.Size > maxArchiveHeader {
		return nil, badArchive("it does not begin with %s", archiveHeader)
	}
	if err := json.NewDecoder(io.LimitReader(a.files, h.Size)).Decode(&a.index); err != nil {
		return nil, badArchive("%s: %v", archiveHeader, err)
	}
	if a.index.Version > archiveVersion {
		return nil, badArchive("it has version %d, this program knows up to %d: use the newer program that wrote it", a.index.Version, archiveVersion)
	}
	if err := a.index.Records.Check(); err != nil {
		return nil, badArchive("%v", err)
	}
	// What is offered for reuse must say what its fingerprint was made of.
	a.index.Records.Cache = slices.DeleteFunc(a.index.Records.Cache, func(c state.CacheEntry) bool { return hashParts(c.Parts) != c.Fingerprint })
	return a, a.checkFiles()
}

// checkFiles looks at the list of files: each stands there once, below the run's folder, where a run
// has files.
func (a *archiveReader) checkFiles() error {
	if len(a.index.Files) > maxArchiveFiles {
		return badArchive("it lists %d files", len(a.index.Files))
	}
	seen := make(map[string]bool, len(a.index.Files))
	var total int64
	for _, f := range a.index.Files {
		first, _, below := strings.Cut(f.Path, "/")
		placed := f.Path == archiveEvents || below && (first == "stages" || first == archiveOrigins)
		// Names that are taken apart on Windows only are refused everywhere.
		if !placed || !fs.ValidPath(f.Path) || strings.ContainsAny(f.Path, "\\:\x00") || !filepath.IsLocal(filepath.FromSlash(f.Path)) {
			return badArchive("a file cannot have the name %q", f.Path)
		}
		const most = 1 << 60
		if f.Bytes < 0 || f.Bytes > most || total > most {
			return badArchive("file %q has a size of %d bytes", f.Path, f.Bytes)
		}
		total += f.Bytes
		if seen[f.Path] {
			return badArchive("file %q stands there twice", f.Path)
		}
		seen[f.Path] = true
	}
	return nil
}

func (a *archiveReader) bytes() int64 {
	var n int64
	for _, f := range a.index.Files {
		n += f.Bytes
	}
	return n
}

// each hands on the files in the order of the header. One that is not what the header says is an
// error, after its content was handed on.
func (a *archiveReader) each(take func(f manifest.File, content io.Reader) error) error {
	for _, f := range a.index.Files {
		h, err := a.files.Next()
		if err != nil {
			return badArchive("file %q: %v", f.Path, err)
		}
		if h.Name != f.Path || !plain(h) || h.Size != f.Bytes {
			return badArchive("there is %q where file %q of %d bytes should be", h.Name, f.Path, f.Bytes)
		}
		sum := sha256.New()
		content := &archiveContent{from: io.TeeReader(io.LimitReader(a.files, f.Bytes), sum)}
		if err := take(f, content); err != nil {
			if content.err != nil {
				return badArchive("file %q: %v", f.Path, content.err)
			}
			return err
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
			return badArchive("file %q has another content than it had when it was exported", f.Path)
		}
	}
	if h, err := a.files.Next(); err == nil {
		return badArchive("%q is more than its header lists", h.Name)
	} else if !errors.Is(err, io.EOF) {
		return badArchive("%v", err)
	}
	// The end of a compressed one holds its checksum.
	if _, err := io.Copy(io.Discard, io.LimitReader(a.raw, maxArchiveTail)); err != nil {
		return badArchive("%v", err)
	}
	return nil
}

// plain: a regular file whose bytes stand in the archive. Of a sparse one a few bytes make any number.
func plain(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") {
			return false
		}
	}
	return h.Typeflag == tar.TypeReg
}

// archiveContent remembers an error of reading, to be told from one of writing.
type archiveContent struct {
	from io.Reader
	err  error
}

func (c *archiveContent) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}
