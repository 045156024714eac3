package engine

import (
	"encoding/json"
	"fmt"

	"github.com/so8t/so8t/state"
)

// adjustedWork is work that could not be done as it was asked for, and was done with what its stage
// proposed instead. Asked for again, it is reused at once, not after the same failure; `--force` tries
// it as it is written.
type adjustedWork struct {
	entry state.CacheEntry
	with  json.RawMessage // what it was done with
	how   string          // in words
}

// adjustedBefore finds the work of n that was done last when it was asked for under this fingerprint;
// nil when that was not so, or nothing is left of it.
func (n *node) adjustedBefore(tx *state.Tx, fingerprint string, previous state.LatestParts) (*adjustedWork, error) {
	if previous.Fingerprint == "" || previous.Fingerprint == fingerprint {
		return nil, nil
	}
	attempts, err := tx.Attempts(previous.Run, n.instance)
	if err != nil || len(attempts) == 0 || attempts[0].Fingerprint != fingerprint {
		return nil, err
	}
	last := attempts[len(attempts)-1]
	if last.Outcome != state.Succeeded || last.Fingerprint != previous.Fingerprint || len(last.Adjusted) == 0 {
		return nil, nil
	}
	done := &adjustedWork{}
	var found bool
	if done.entry, found, err = tx.Cache(previous.Fingerprint); err != nil || !found {
		return nil, err
	}
	stage, err := tx.Stage(previous.Run, n.instance)
	if err != nil {
		return nil, err
	}
	done.with = stage.With
	var changes []Change
	for _, field := range sortedKeys(last.Adjusted) {
		from, _ := canonical(valueAt(n.with, field)) // what came from JSON encodes
		changes = append(changes, Change{Field: "with." + field, From: orNull(from), To: orNull(last.Adjusted[field])})
	}
	done.how = fmt.Sprintf("done there with %s, as the stage proposed when it had failed", changesText(changes))
	return done, nil
}

// entryIdentity is that of an entry that is reused: what it was made as, be it asked for otherwise.
func entryIdentity(entry state.CacheEntry, asked identity) identity {
	if entry.Fingerprint == asked.fingerprint || entry.Fingerprint == "" {
		return asked
	}
	return identity{fingerprint: entry.Fingerprint, parts: entry.Parts}
}
