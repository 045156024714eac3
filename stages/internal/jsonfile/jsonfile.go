// Package jsonfile reads and writes the JSON files that stages hand to each other.
package jsonfile

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Write writes v, indented, with a final line feed. Maps come out sorted: the same value gives
// the same bytes.
func Write(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %q: %w", filepath.Base(path), err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing %q: %w", filepath.Base(path), err)
	}
	return nil
}

// Read reads a file into v.
func Read(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading %q: %w", filepath.Base(path), err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("reading %q: %w", path, err)
	}
	return nil
}
