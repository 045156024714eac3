package state

import (
	"crypto/rand"
	"time"
)

// idAlphabet is sorted and has no letters that are taken for others.
const idAlphabet = "23456789abcdefghjkmnpqrstvwxyz"

// NewRunID makes an id that sorts by its time (UTC, about a millisecond) and ends with
// chance: 20261124-215733-k7qd4. It begins with a digit, as no stage does, and nobody
// types all of it: FindRun completes it. CreateRun refuses one that is taken.
func NewRunID(now time.Time) string {
	now = now.UTC()
	const base = len(idAlphabet)
	fraction := int(int64(now.Nanosecond()) * int64(base*base) / int64(time.Second))
	var chance [3]byte
	_, _ = rand.Read(chance[:]) // crypto/rand never returns an error
	suffix := []byte{idAlphabet[fraction/base], idAlphabet[fraction%base]}
	for _, c := range chance {
		suffix = append(suffix, idAlphabet[int(c)%base])
	}
	return now.Format("20060102-150405") + "-" + string(suffix)
}
