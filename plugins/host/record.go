package host

import (
	"crypto/rand"
	"errors"

	"github.com/so8t/so8t/plugins/internal/wire"
)

var errStillThere = errors.New("a killed process is still there")

// Sweep kills what is left of the processes that a former engine recorded and everything that
// descends from them, and returns what it killed. A process is only ever chosen by its pid
// together with its birth, or by the mark it inherited.
func Sweep(records []Record) ([]Record, error) {
	if len(records) == 0 {
		return nil, nil
	}
	return sweepMarked(records)
}

// clear kills what a plugin left behind, until there is nothing more.
func clearLeftovers(r Record) []Record {
	var gone []Record
	for {
		found := leftovers(r)
		n := len(gone)
		for _, l := range found {
			if end(l) == nil {
				gone = append(gone, l)
			}
		}
		if len(gone) == n {
			return gone
		}
	}
}

// newMark is unique to one launch.
func newMark() string { return rand.Text() }

// SelfBuildID tells builds of this binary apart, for Command.BuildID.
func SelfBuildID() string { return wire.BuildID() }
