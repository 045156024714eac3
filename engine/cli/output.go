package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/so8t/so8t/engine"
)

// printStatus is printJSON for a view that may have thousands of stages: one at a time, so that the
// document is never in memory as a whole, let alone twice.
func (a *app) printStatus(v *engine.StatusView) error {
	head := *v
	head.Stages = []engine.StageView{}
	var part bytes.Buffer
	encoder := json.NewEncoder(&part)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(head); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	begin, found := bytes.CutSuffix(part.Bytes(), []byte("[]\n}\n")) // the stages come last
	if len(v.Stages) == 0 || !found {
		return a.printJSON(v)
	}
	out := bufio.NewWriterSize(a.Out, 64<<10)
	_, _ = out.Write(begin) // the first error stays, and Flush returns it
	encoder.SetIndent("    ", "  ")
	between := "[\n    "
	for i := range v.Stages {
		part.Reset()
		if err := encoder.Encode(&v.Stages[i]); err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
		_, _ = out.WriteString(between)
		between = ",\n    "
		_, _ = out.Write(bytes.TrimSuffix(part.Bytes(), []byte("\n")))
	}
	_, _ = out.WriteString("\n  ]\n}\n")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}

// printJSON writes one indented JSON document to stdout.
func (a *app) printJSON(v any) error {
	encoder := json.NewEncoder(a.Out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}
