package quant

import (
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// Some processors multiply and add in one rounding, and the compiler uses that where the source
// does not forbid it. One such place changes bytes, so there must be none in what is compiled.
func TestArithmeticIsNotFused(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for other processors")
	}
	fused := regexp.MustCompile(`(?m)^.*\.go:\d+\)\s+FN?M(ADD|SUB)[SD]?\b.*$`)
	for _, arch := range []string{"arm64", "ppc64le", "riscv64"} {
		cmd := exec.Command("go", "build", "-gcflags=-S", ".")
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
		listing, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", arch, err, listing)
		}
		if len(listing) < 1000 {
			t.Fatalf("%s: the compiler listed nothing: %s", arch, listing)
		}
		for _, line := range fused.FindAll(listing, -1) {
			t.Errorf("%s: %s", arch, line)
		}
	}
}
