//go:build !linux

// Package lineage finds processes by the mark that every process descending from one launch
// of a plugin inherits in its environment.
package lineage

// MarkKey is the variable that holds the mark.
const MarkKey = "SO8T_PLUGIN_MARK"

// KillMarked does nothing where environments of other processes cannot be read.
func KillMarked(string) {}
