package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCounter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.events")
	if err := os.WriteFile(path, []byte("low 0\noom 9\noom_kill 3\noom_group_kill 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if n := counter(path, "oom_kill"); n != 3 {
		t.Errorf("counted %d", n)
	}
	for _, missing := range []string{"", filepath.Join(t.TempDir(), "none")} {
		if n := counter(missing, "oom_kill"); n != 0 {
			t.Errorf("%q: counted %d", missing, n)
		}
	}
}

func TestMemoryKills_Since(t *testing.T) {
	before := memoryKills{group: 1, machine: 5}
	for now, want := range map[memoryKills]bool{{1, 5}: false, {2, 5}: true, {1, 6}: true, {0, 5}: false} {
		if now.since(before) != want {
			t.Errorf("%+v since %+v: %v", now, before, !want)
		}
	}
}
