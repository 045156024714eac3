package engine

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// archiveWith is an archive of a run without stages that holds one file; change spoils it.
func archiveWith(t testing.TB, change func(index *archiveIndex, h *tar.Header)) []byte {
	t.Helper()
	const content = "content"
	sum := sha256.Sum256([]byte(content))
	index := archiveIndex{Version: archiveVersion, Files: []manifest.File{
		{Path: "stages/a/1/log", SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(content))},
	}}
	index.Records.Run = state.Run{ID: "20260102-030405-aaaaa", State: state.RunSucceeded, Epoch: 1}
	index.Records.Plan.Run = index.Records.Run.ID
	h := &tar.Header{Typeflag: tar.TypeReg, Name: "stages/a/1/log", Size: int64(len(content)), Mode: 0o644}
	change(&index, h)
	text, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := writeEntry(w, archiveHeader, int64(len(text)), bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, strings.NewReader(content), h.Size); err != nil && h.Typeflag == tar.TypeReg {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestImport_HostileArchives(t *testing.T) {
	named := func(name string) func(*archiveIndex, *tar.Header) {
		return func(index *archiveIndex, h *tar.Header) { index.Files[0].Path, h.Name = name, name }
	}
	for name, change := range map[string]func(*archiveIndex, *tar.Header){
		"parent":          named("../../escape"),
		"inside parent":   named("stages/../../../escape"),
		"absolute":        named("/tmp/escape"),
		"backslash":       named(`stages\..\..\escape`),
		"drive":           named("stages/c:escape"),
		"another place":   named("lock"),
		"journal as well": named("events.jsonl/x"),
		"link": func(_ *archiveIndex, h *tar.Header) {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, "/etc/passwd", 0
		},
		"hard link": func(_ *archiveIndex, h *tar.Header) {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, "/etc/passwd", 0
		},
		"not listed":   func(_ *archiveIndex, h *tar.Header) { h.Name = "stages/a/1/other" },
		"other size":   func(index *archiveIndex, _ *tar.Header) { index.Files[0].Bytes++ },
		"negative":     func(index *archiveIndex, _ *tar.Header) { index.Files[0].Bytes = -1 },
		"other digest": func(index *archiveIndex, _ *tar.Header) { index.Files[0].SHA256 = strings.Repeat("0", 64) },
		"twice":        func(index *archiveIndex, _ *tar.Header) { index.Files = append(index.Files, index.Files[0]) },
		"newer":        func(index *archiveIndex, _ *tar.Header) { index.Version++ },
		"id": func(index *archiveIndex, _ *tar.Header) {
			index.Records.Run.ID = "../x"
			index.Records.Plan.Run = "../x"
		},
		"stage of another run": func(index *archiveIndex, _ *tar.Header) {
			index.Records.Stages = []state.StageRecord{{Run: "20270102-030405-aaaaa", Instance: "a"}}
		},
		"output elsewhere": func(index *archiveIndex, _ *tar.Header) {
			id := index.Records.Run.ID
			index.Records.Stages = []state.StageRecord{{Run: id, Instance: "a", Outputs: map[string]state.OutputRecord{"o": {Path: "runs/" + id + "/stages/a/../../../../secret"}}}}
		},
		"hooks that are due": func(index *archiveIndex, _ *tar.Header) { index.Records.Run.HooksDue = true },
		"processes": func(index *archiveIndex, _ *tar.Header) {
			id := index.Records.Run.ID
			index.Records.Stages = []state.StageRecord{{Run: id, Instance: "a"}}
			index.Records.Attempts = []state.Attempt{{Run: id, Instance: "a", Number: 1, Outcome: state.Failed, Process: &state.ProcessRecord{PID: 1}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := fakeEngine(t, oneFake, &fakeStage{})
			_, err := e.Import(t.Context(), bytes.NewReader(archiveWith(t, change)))
			var bad *ArchiveError
			if !errors.As(err, &bad) {
				t.Errorf("got %v", err)
			}
			onlyState(t, e)
			if runs, err := e.Runs(t.Context(), RunsFilter{}); err != nil || len(runs.Runs) != 0 {
				t.Errorf("runs %+v, %v", runs, err)
			}
		})
	}
	e := fakeEngine(t, oneFake, &fakeStage{})
	if _, err := e.Import(t.Context(), bytes.NewReader(archiveWith(t, func(*archiveIndex, *tar.Header) {}))); err != nil {
		t.Errorf("one that is as it should be: %v", err)
	}
}

// onlyState wants nothing in the project but the workflow, and nothing left of an import.
func onlyState(t *testing.T, e *Engine) {
	t.Helper()
	entries, err := os.ReadDir(e.opts.ProjectDir)
	if err != nil || len(entries) > 2 {
		t.Errorf("the project holds %v, %v", entries, err)
	}
	for _, name := range []string{"incoming", "runs"} {
		left, err := os.ReadDir(filepath.Join(e.store.Dir(), name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) || len(left) > 0 {
			t.Errorf("%s holds %v, %v", name, left, err)
		}
	}
}

// FuzzArchive: whatever the bytes, reading ends, and no file has a name outside the run's folder.
func FuzzArchive(f *testing.F) {
	whole := archiveWith(f, func(*archiveIndex, *tar.Header) {})
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Add(archiveWith(f, func(index *archiveIndex, h *tar.Header) { index.Files[0].Path, h.Name = "../x", "../x" }))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := openArchive(bytes.NewReader(data))
		if err != nil {
			return
		}
		_ = a.each(func(file manifest.File, content io.Reader) error {
			if !filepath.IsLocal(filepath.FromSlash(file.Path)) {
				t.Errorf("a file is called %q", file.Path)
			}
			_, err := io.Copy(io.Discard, content)
			return err
		})
	})
}

// TestExport_OfWhatAnotherInstanceMade: a stage without outputs that got another name reuses what it made under the
// old one, and can be exported and reused.
func TestExport_OfWhatAnotherInstanceMade(t *testing.T) {
	const yaml = "version: 1\nname: renamed\nstages:\n  a: { uses: fake }\n  c: { uses: fake, needs: a, with: { seed: 2 } }\n"
	s := &fakeStage{run: func(*plugins.Attempt) (plugins.Result, error) { return plugins.Result{}, nil }}
	e := fakeEngine(t, yaml, s)
	e.opts.Builtins[0].Describe = func() plugins.Description {
		d := s.Describe()
		d.Outputs = nil
		return d
	}
	fakeRun(t, e)
	renamed := strings.NewReplacer("a:", "z:", "needs: a", "needs: z").Replace(yaml)
	if err := os.WriteFile(filepath.Join(e.opts.ProjectDir, "so8t.yaml"), []byte(renamed), 0o644); err != nil {
		t.Fatal(err)
	}
	v := fakeRun(t, e)
	if v.Stages[0].Instance != "z" || v.Stages[0].Outcome != "cached" {
		t.Fatalf("%+v", v.Stages)
	}
	if err := e.Export(t.Context(), v.Run, io.Discard, ExportOptions{Artifacts: true}); err != nil {
		t.Error(err)
	}
	if o, err := e.Rerun(t.Context(), v.Run, "c", RerunOptions{}); err != nil || o.Stages["cached"] != 1 || o.Stages["succeeded"] != 1 {
		t.Errorf("rerun: %+v, %v", o, err)
	}
}
