//go:build unix

package host_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
)

// BenchmarkProcess is what one stage costs besides its work: start, handshake, run with one
// small output, close.
func BenchmarkProcess(b *testing.B) {
	dir := b.TempDir()
	a := &plugins.Attempt{Stage: "s", Run: "1", Number: 1, With: []byte(`{}`), OutputDir: filepath.Join(dir, "out")}
	if err := os.Mkdir(a.OutputDir, 0o755); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p, err := host.Launch(b.Context(), self("stage"), host.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Run(b.Context(), a, nil); err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}

// BenchmarkLaunch is the start and the end alone.
func BenchmarkLaunch(b *testing.B) {
	for b.Loop() {
		p, err := host.Launch(b.Context(), self("stage"), host.Options{})
		if err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}
