package compute

import (
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
)

// Whoever asks for a GPU and cannot have it is told so; nothing else computes instead.
func TestOpen_NeverFallsBack(t *testing.T) {
	t.Setenv("SO8T_LIBCUDA", "/nowhere/libcuda.so.1")
	for name, env := range map[string]string{"cuda": "", "auto": "cuda"} {
		t.Setenv("SO8T_BACKEND", env)
		if _, err := Open(name, 1); plugins.CodeOf(err) != plugins.Unavailable || !strings.Contains(err.Error(), "/nowhere/libcuda.so.1") {
			t.Errorf("backend %s with SO8T_BACKEND=%q: error %v, want one that names the library", name, env, err)
		}
		var report plugins.CheckReport
		Check(&report, name, 1)
		if report.Needs.GPU != 1 || len(report.Problems) != 1 {
			t.Errorf("backend %s with SO8T_BACKEND=%q: %+v, want a GPU and a problem", name, env, report)
		}
	}
	t.Setenv("SO8T_BACKEND", "")
	if _, err := Open("tpu", 1); plugins.CodeOf(err) != plugins.BadInput {
		t.Errorf("backend tpu: error %v", err)
	}
}

func TestDescribe_SaysWhatAutoChoseAndWhy(t *testing.T) {
	for _, c := range []struct{ name, env, want, not string }{
		{"auto", "", "auto: a GPU is used when it is asked for", ""},
		{"auto", "cpu", "auto: SO8T_BACKEND says so", ""},
		{"cpu", "", "backend cpu", "auto"},
	} {
		t.Setenv("SO8T_BACKEND", c.env)
		be, err := Open(c.name, 1)
		if err != nil {
			t.Fatal(err)
		}
		line := Describe(c.name, be.Info())
		if !strings.HasPrefix(line, "backend cpu ") || !strings.Contains(line, c.want) || c.not != "" && strings.Contains(line, c.not) {
			t.Errorf("%s: %q", c.name, line)
		}
		_ = be.Close()
	}
}
