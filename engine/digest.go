package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// digester computes digests of files and folders, each file's content once: what was hashed is
// remembered in the state by size, times and inode.
type digester struct {
	store *state.Store
	// hashing holds as many as are read at a time, of all folders together: one for each processor.
	hashing chan struct{}

	mu      sync.Mutex
	known   map[state.FileKey]string
	learned []learnedDigest
}

type learnedDigest struct {
	key    state.FileKey
	sum    string
	hashed time.Time
}

func newDigester(store *state.Store) *digester {
	return &digester{
		store: store, known: map[state.FileKey]string{}, hashing: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// path digests a file or a folder; false when there is none.
func (d *digester) path(ctx context.Context, path string) (string, bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if info.Mode().IsRegular() {
		if err := d.load(ctx, []state.FileKey{state.KeyOf(path, info)}); err != nil {
			return "", false, err
		}
		sum, err := d.file(path, info)
		return sum, true, err
	}
	if !info.IsDir() {
		return "", false, fmt.Errorf("%q is neither a file nor a folder", path)
	}
	files, err := d.folder(ctx, path)
	if err != nil {
		return "", false, err
	}
	return manifest.FolderDigest(files), true, nil
}

// folder digests every file below dir, sorted by path. Links are refused: what they lead to may
// change without the folder changing.
func (d *digester) folder(ctx context.Context, dir string) ([]manifest.File, error) {
	type found struct {
		rel  string
		info fs.FileInfo
	}
	var all []found
	var keys []state.FileKey
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() {
			return fmt.Errorf("%q is a link or no regular file: an input folder may hold none", path)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		all = append(all, found{filepath.ToSlash(rel), info})
		keys = append(keys, state.KeyOf(path, info))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := d.load(ctx, keys); err != nil {
		return nil, err
	}
	files, errs := make([]manifest.File, len(all)), make([]error, len(all))
	parallel(cap(d.hashing), len(all), func(i int) {
		f := all[i]
		files[i] = manifest.File{Path: f.rel, Bytes: f.info.Size()}
		files[i].SHA256, errs[i] = d.file(filepath.Join(dir, filepath.FromSlash(f.rel)), f.info)
	})
	if err := cmp.Or(errs...); err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b manifest.File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// worthRemembering is the size in bytes from which looking a digest up beats computing it.
const worthRemembering = 256 << 10

// settled is how long a file must have been left alone before its times can tell it from a changed
// one: longer than the coarsest clock of a file system.
const settled = 2 * time.Second

// load looks up what is remembered of these files, in one transaction.
func (d *digester) load(ctx context.Context, keys []state.FileKey) error {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k state.FileKey) bool {
		return k.Size < worthRemembering || d.sum(k) != ""
	})
	if len(keys) == 0 {
		return nil
	}
	return d.store.View(ctx, func(tx *state.Tx) error {
		for _, k := range keys {
			sum, ok, err := tx.FileDigest(k)
			if err != nil {
				return err
			}
			if ok {
				d.mu.Lock()
				d.known[k] = sum
				d.mu.Unlock()
			}
		}
		return nil
	})
}

func (d *digester) sum(k state.FileKey) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known[k]
}

// file digests one file, from memory when load found it there.
func (d *digester) file(path string, info fs.FileInfo) (string, error) {
	key := state.KeyOf(path, info)
	if sum := d.sum(key); sum != "" {
		return sum, nil
	}
	if key.Size < worthRemembering {
		text, err := os.ReadFile(path)
		sum := sha256.Sum256(text)
		return hex.EncodeToString(sum[:]), err
	}
	d.hashing <- struct{}{}
	hashed := time.Now()
	sum, _, err := manifest.FileDigest(path)
	<-d.hashing
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.learned = append(d.learned, learnedDigest{key, sum, hashed})
	if hashed.Sub(time.Unix(0, max(key.MTime, key.CTime))) >= settled {
		d.known[key] = sum
	}
	return sum, nil
}

// remember stores what was learned, together with whatever else tx changes. It may be called
// again when tx is given up.
func (d *digester) remember(tx *state.Tx) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.learned {
		if err := tx.PutFileDigest(l.key, l.sum, l.hashed); err != nil {
			return err
		}
	}
	return nil
}

// verify compares an attempt's outputs with their manifest: names, sizes and digests, those of
// large files from memory. whole reads everything.
func (d *digester) verify(ctx context.Context, outputDir string, whole bool) (*manifest.Manifest, error) {
	depth := manifest.Sizes
	if whole {
		depth = manifest.Contents
	}
	m, err := manifest.VerifyOutputs(outputDir, depth)
	if err != nil || whole {
		return m, err
	}
	files, err := d.folder(ctx, outputDir)
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		if i >= len(m.Files) || f != m.Files[i] {
			return nil, &manifest.Difference{Path: f.Path, Kind: manifest.OtherContent, Have: f.Bytes}
		}
	}
	return m, nil
}

// pathDigests are the digests of the user's own files and folders, "" for one that is not there.
type pathDigests map[string]string

func (p pathDigests) digest(path string) (string, bool, error) {
	sum := p[path]
	return sum, sum != "", nil
}

// digestInputs adds the paths that nodes name themselves, several at a time. The error is that of the
// first that cannot be digested.
func (e *Engine) digestInputs(ctx context.Context, into pathDigests, nodes ...*node) error {
	type input struct {
		n           *node
		field, path string
	}
	var inputs []input
	for _, n := range nodes {
		for _, l := range n.plugin.schema.leaves(n.with) {
			text, ok := l.value.(string)
			if !ok || text == "" || l.schema.Format != formatPath {
				continue
			}
			path := absolute(e.opts.ProjectDir, text)
			if _, named := into[path]; !named {
				into[path] = ""
				inputs = append(inputs, input{n, l.field, path})
			}
		}
	}
	sums, errs := make([]string, len(inputs)), make([]error, len(inputs))
	parallel(cap(e.digest.hashing), len(inputs), func(i int) {
		sums[i], _, errs[i] = e.digest.path(ctx, inputs[i].path)
	})
	for i, input := range inputs {
		if errs[i] != nil {
			return fmt.Errorf("field %q of stage %q: %w", input.field, input.n.instance, errs[i])
		}
		into[input.path] = sums[i]
	}
	return nil
}

// parallel calls f for 0…n-1 on a few goroutines and waits for all.
func parallel(workers, n int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}
