package state

import (
	"crypto/rand"
	"strings"
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
	return now.Format(stampFormat) + "-" + string(suffix)
}

const stampFormat = "20060102-150405"

// NewRunIDAfter is NewRunID for a clock that may have been set back: the id sorts after newest,
// which is the id of the newest run there is, or "".
func NewRunIDAfter(newest string, now time.Time) string {
	const stamp = len(stampFormat) + len("-xx")
	id := NewRunID(now)
	if len(newest) < stamp || id[:stamp] > newest[:stamp] {
		return id
	}
	second, err := time.Parse(stampFormat, newest[:len(stampFormat)])
	high := strings.IndexByte(idAlphabet, newest[stamp-2])
	low := strings.IndexByte(idAlphabet, newest[stamp-1])
	if err != nil || high < 0 || low < 0 {
		return id // it was not made here
	}
	const base = len(idAlphabet)
	tick := time.Second / time.Duration(base*base)
	return NewRunID(second.Add(time.Duration(high*base+low+1)*time.Second/time.Duration(base*base) + tick/2))
}

// RunTime is when a run of this id began, to the second; zero when it was not made here.
func RunTime(id string) time.Time {
	if len(id) < len(stampFormat) {
		return time.Time{}
	}
	at, _ := time.Parse(stampFormat, id[:len(stampFormat)])
	return at
}
