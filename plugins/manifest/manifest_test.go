package manifest_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/so8t/so8t/plugins/manifest"
)

// tree writes files, given as path and content, below a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		put(t, dir, name, text)
	}
	return dir
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// declared outputs of most tests: a nested folder, a file, and one that may be absent.
var declared = []manifest.Output{
	{Name: "model", MediaType: "application/x-model"},
	{Name: "report", Path: "report.json"},
	{Name: "plot", Optional: true},
	{Name: "log", Path: "log.txt", Volatile: true},
}

func outputs(t *testing.T) string {
	return tree(t, map[string]string{
		"model/config.json": "{}", "model/weights/a.bin": "aaa", "model/weights/b.bin": "bb",
		"report.json": "[1]", "log.txt": "12:00 started",
	})
}

func TestSealOutputs_GoldenOrder(t *testing.T) {
	dir := outputs(t)
	var steps []string
	disk := manifest.Watched(manifest.OS, func(op manifest.Op, path string) error {
		rel, err := filepath.Rel(filepath.Dir(dir), path)
		steps = append(steps, fmt.Sprintf("%s %s", op, filepath.ToSlash(rel)))
		return err
	})
	if _, err := manifest.SealOutputs(disk, dir, declared); err != nil {
		t.Fatal(err)
	}
	golden := `sync out/log.txt
sync out/model/config.json
sync out/model/weights/a.bin
sync out/model/weights/b.bin
sync out/report.json
syncdir out/model/weights
syncdir out/model
syncdir out
write manifest.json.tmp
sync manifest.json.tmp
rename manifest.json
syncdir .`
	if got := strings.Join(steps, "\n"); got != golden {
		t.Errorf("steps:\n%s\nwant:\n%s", got, golden)
	}
}

func TestSealOutputs_Content(t *testing.T) {
	dir := outputs(t)
	m, err := manifest.SealOutputs(manifest.OS, dir, declared)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Outputs) != 3 || m.Bytes() != 2+3+2+3+13 {
		t.Errorf("sealed %+v", m)
	}
	model, _ := m.Output("model")
	if !model.Folder || model.Bytes != 7 || model.MediaType != "application/x-model" {
		t.Errorf("model: %+v", model)
	}
	if log, _ := m.Output("log"); !log.Volatile || log.Path != "log.txt" {
		t.Errorf("log: %+v", log)
	}
	alone, err := manifest.Digest(filepath.Join(dir, "model"))
	if err != nil || alone.SHA256 != model.SHA256 || alone.Bytes != model.Bytes {
		t.Errorf("the folder alone digests to %+v, %v", alone, err)
	}
	first, err := os.ReadFile(manifest.PathFor(dir))
	if err != nil {
		t.Fatal(err)
	}
	other := outputs(t)
	if _, err := manifest.SealOutputs(manifest.OS, other, declared); err != nil {
		t.Fatal(err)
	}
	if second, _ := os.ReadFile(manifest.PathFor(other)); string(first) != string(second) {
		t.Errorf("the same outputs elsewhere give another manifest:\n%s\n%s", first, second)
	}
}

func TestDigest_IsThatOfSha256sum(t *testing.T) {
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Skip("sha256sum is not installed")
	}
	dir := outputs(t)
	cmd := exec.Command("sh", "-c", "find . -type f | sed s,^./,, | LC_ALL=C sort | xargs sha256sum | sha256sum")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	d, err := manifest.Digest(dir)
	if err != nil || !strings.HasPrefix(string(out), d.SHA256+" ") {
		t.Errorf("got %+v, %v, sha256sum says %s", d, err, out)
	}
}

func TestSealOutputs_NotAsDeclared(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  map[string]string
		output manifest.Output
		want   string
	}{
		{"missing", nil, manifest.Output{Name: "a"}, `output "a" is missing`},
		{"empty file", map[string]string{"a": ""}, manifest.Output{Name: "a"}, `output "a" is empty`},
		{"empty folder", map[string]string{"a/b": ""}, manifest.Output{Name: "a"}, `output "a" is empty`},
		{"outside", nil, manifest.Output{Name: "a", Path: "../a"}, "not below the output folder"},
		{"everything", map[string]string{"a": "x"}, manifest.Output{Name: "a", Path: "."}, "not below the output folder"},
		{"absolute", nil, manifest.Output{Name: "a", Path: "/a"}, "not below the output folder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tree(t, c.files)
			_, err := manifest.SealOutputs(manifest.OS, dir, []manifest.Output{c.output})
			var bad *manifest.OutputError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if _, err := manifest.Read(manifest.PathFor(dir)); !errors.Is(err, manifest.ErrIncomplete) {
				t.Errorf("a manifest was written: %v", err)
			}
		})
	}
}

func TestSeal_Link_IsRefused(t *testing.T) {
	dir := outputs(t)
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "model", "link")); err != nil {
		t.Skip("no links here:", err)
	}
	if _, err := manifest.SealOutputs(manifest.OS, dir, declared); err == nil || !strings.Contains(err.Error(), "model/link") {
		t.Errorf("got %v", err)
	}
}

func TestSeal_DiskFull(t *testing.T) {
	for _, failing := range []manifest.Op{manifest.OpSyncFile, manifest.OpSyncDir, manifest.OpWrite, manifest.OpRename} {
		dir := outputs(t)
		disk := manifest.Watched(manifest.OS, func(op manifest.Op, _ string) error {
			if op == failing {
				return syscall.ENOSPC
			}
			return nil
		})
		if _, err := manifest.SealOutputs(disk, dir, declared); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: got %v", failing, err)
		}
		if _, err := manifest.VerifyOutputs(dir, manifest.Sizes); !errors.Is(err, manifest.ErrIncomplete) {
			t.Errorf("%s: the outputs count as finished: %v", failing, err)
		}
	}
}

func TestVerify_FindsDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		depth  manifest.Depth
		want   string
	}{
		{"none", func(*testing.T, string) {}, manifest.Contents, ""},
		{"changed", func(t *testing.T, dir string) { put(t, dir, "report.json", "[2]") }, manifest.Contents, "another content"},
		{"changed, sizes only", func(t *testing.T, dir string) { put(t, dir, "report.json", "[2]") }, manifest.Sizes, ""},
		{"longer", func(t *testing.T, dir string) { put(t, dir, "report.json", "[22]") }, manifest.Sizes, "4 bytes, the manifest says 3"},
		{"added", func(t *testing.T, dir string) { put(t, dir, "model/x", "x") }, manifest.Sizes, `"model/x" is not in the manifest`},
		{"removed", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "model/config.json")) }, manifest.Sizes, `"model/config.json" is missing`},
		{"all removed", func(t *testing.T, dir string) { os.RemoveAll(dir) }, manifest.Sizes, "damaged: open"},
		{"torn manifest", func(t *testing.T, dir string) { cutFile(t, manifest.PathFor(dir)) }, manifest.Sizes, "reading manifest"},
		{"edited manifest", func(t *testing.T, dir string) { edit(t, manifest.PathFor(dir), `"bytes": 7`, `"bytes": 8`) }, manifest.Sizes, `digest of output "model"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := outputs(t)
			if _, err := manifest.SealOutputs(manifest.OS, dir, declared); err != nil {
				t.Fatal(err)
			}
			c.damage(t, dir)
			_, err := manifest.VerifyOutputs(dir, c.depth)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v", err)
			case c.want != "" && (!errors.Is(err, manifest.ErrDamaged) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func cutFile(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()/2)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, path, from, to string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(b), from) {
		t.Fatalf("%s lacks %s: %v", b, from, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), from, to, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSealFolder_ManifestInside(t *testing.T) {
	dir := tree(t, map[string]string{"state": "7"})
	m, err := manifest.SealFolder(manifest.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := manifest.VerifyFolder(dir, manifest.Contents)
	if err != nil || again.SHA256 != m.SHA256 || len(again.Files) != 1 {
		t.Errorf("got %+v, %v", again, err)
	}
}
