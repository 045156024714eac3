package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

func TestParallel_TwoAtATime_EachOnce(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	parallel(2, 2, func(int) {
		both.Done()
		both.Wait() // for ever, were there one at a time
	})
	var mu sync.Mutex
	running, most := 0, 0
	calls := make([]int, 100)
	parallel(3, len(calls), func(i int) {
		mu.Lock()
		running++
		most = max(most, running)
		calls[i]++
		mu.Unlock()
		mu.Lock()
		running--
		mu.Unlock()
	})
	if most > 3 {
		t.Errorf("%d at a time", most)
	}
	for i, n := range calls {
		if n != 1 {
			t.Errorf("%d was called %d times", i, n)
		}
	}
	parallel(3, 0, func(int) { t.Error("there is nothing to call it for") })
}

func newTestDigester(t *testing.T) *digester {
	t.Helper()
	store, err := state.Open(t.TempDir(), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return newDigester(store)
}

// TestDigester_Folder: files of all sizes that are digested side by side make the digest that they
// make one after another.
func TestDigester_Folder(t *testing.T) {
	dir := t.TempDir()
	var files []manifest.File
	for i := range 20 {
		text := []byte(strings.Repeat(fmt.Sprintf("%d ", i), 1+i%4*worthRemembering))
		sum := sha256.Sum256(text)
		files = append(files, manifest.File{Path: fmt.Sprintf("%02d", i), SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(text))})
		if err := os.WriteFile(filepath.Join(dir, files[i].Path), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	d := newTestDigester(t)
	d.hashing = make(chan struct{}, 4)
	sum, there, err := d.path(t.Context(), dir)
	if want := manifest.FolderDigest(files); err != nil || !there || sum != want {
		t.Errorf("got %s, %v, %v; want %s", sum, there, err, want)
	}
}

// TestDigestInputs_Errors: of what cannot be digested the first is named, whichever is found first.
func TestDigestInputs_Errors(t *testing.T) {
	dir := t.TempDir()
	with := map[string]any{}
	for _, name := range []string{"a", "b", "c"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
		with[name] = name
		if name == "a" {
			continue
		}
		if err := os.Symlink("x", filepath.Join(dir, name, "link")); err != nil {
			t.Skip("no links here:", err)
		}
	}
	schema, err := parseWithSchema([]byte(`{"type":"object","properties":{
		"a":{"type":"string","format":"path"},"b":{"type":"string","format":"path"},"c":{"type":"string","format":"path"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	n := &node{instance: "s", with: with, plugin: &pluginInfo{schema: schema}}
	e := &Engine{opts: Options{ProjectDir: dir}, digest: newTestDigester(t)}
	for range 20 {
		err := e.digestInputs(t.Context(), pathDigests{}, n)
		if err == nil || !strings.HasPrefix(err.Error(), `field "b" of stage "s": `) {
			t.Fatalf("got %v", err)
		}
	}
}
