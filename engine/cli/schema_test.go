package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/engine/cli"
	"github.com/so8t/so8t/stages"
)

// TestSchema_IsTheOneInWorkflows: what editors complete from is what this program reads.
func TestSchema_IsTheOneInWorkflows(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("..", "..", "workflows", "schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	streams := cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}
	if code := cli.Main([]string{"schema"}, cli.Program{Stages: stages.Builtin()}, streams); code != 0 {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	text := strings.ReplaceAll(string(want), "\r\n", "\n") // as git may write it on Windows
	if out.String() != text {
		t.Error("workflows/schema.json is another: go run . schema > workflows/schema.json")
	}
}
