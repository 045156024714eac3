package state

import "context"

// Severity of a finding.
type Severity string

const (
	Note   Severity = "note"   // a leftover of a crash; nothing is lost
	Damage Severity = "damage" // something that was finished is not what it was
)

// Finding is one thing Check found.
type Finding struct {
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`
	Path     string   `json:"path"` // relative to the state folder, with slashes
	Message  string   `json:"message"`
	Repair   string   `json:"repair"` // what Repair would do; "" = nothing
}

// CheckOptions of Check.
type CheckOptions struct {
	// Command starts this program so that it calls CheckDatabase with the path that is
	// appended to it. bbolt's checker can end its process, so it runs in a child;
	// without Command that part is left out.
	Command []string
	// VerifyAttempt checks the manifest in the folder of an attempt that succeeded;
	// nil leaves that out.
	VerifyAttempt func(folder string) error
}

// Check is the fsck: database, records, journals and folders against each other.
// The error is for a check that could not be made.
func Check(ctx context.Context, dir string, opts CheckOptions) ([]Finding, error) { return nil, nil }

// CheckDatabase is what the child runs: bbolt's own check of the file at path. It
// returns what is wrong, and may take the process with it.
func CheckDatabase(path string) []string { return nil }

// Repair does what the findings' Repair says: a damaged database is rebuilt from the
// journals, damaged files are moved aside. Nothing is deleted. It returns what it did.
// It refuses with *HeldError while an engine is alive.
func Repair(ctx context.Context, dir string, findings []Finding) ([]string, error) { return nil, nil }

// Rebuild makes the database anew from the journals of all runs and moves the old one
// aside. It refuses with *HeldError while an engine is alive.
func Rebuild(ctx context.Context, dir string) error { return nil }
