package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Attempt returns one attempt; ErrNotFound when there is none.
func (t *Tx) Attempt(run, instance string, number int) (Attempt, error) {
	var a Attempt
	key, err := numberedKey(number, run, instance)
	if err != nil {
		return a, err
	}
	found, err := t.get(bucketAttempts, key, &a)
	if err == nil && !found {
		err = fmt.Errorf("attempt %d of stage %q of run %q: %w", number, instance, run, ErrNotFound)
	}
	return a, err
}

// Attempts returns an instance's attempts, first to last.
func (t *Tx) Attempts(run, instance string) ([]Attempt, error) {
	prefix, err := prefixKey(run, instance)
	if err != nil {
		return nil, err
	}
	return t.scanAttempts(prefix)
}

// RunAttempts returns all attempts of a run, by instance (sorted) and number.
func (t *Tx) RunAttempts(run string) ([]Attempt, error) {
	prefix, err := prefixKey(run)
	if err != nil {
		return nil, err
	}
	return t.scanAttempts(prefix)
}

func (t *Tx) scanAttempts(prefix []byte) ([]Attempt, error) {
	var list []Attempt
	err := t.scan(bucketAttempts, prefix, func(k, v []byte) error {
		var a Attempt
		if err := t.decode(bucketAttempts, k, v, &a); err != nil {
			return err
		}
		list = append(list, a)
		return nil
	})
	return list, err
}

// PutAttempt stores an attempt, if its outcome may follow the stored one. A new one
// must have the next number. Of an attempt that has ended only leftovers and
// checkpoints (pruned) may still change.
func (t *Tx) PutAttempt(a Attempt) error {
	what := fmt.Sprintf("attempt %s/%d", a.Instance, a.Number)
	if err := t.fenceRun(a.Run, what, a.Epoch); err != nil {
		return err
	}
	old, err := t.Attempt(a.Run, a.Instance, a.Number)
	if errors.Is(err, ErrNotFound) {
		last, lastErr := t.Attempts(a.Run, a.Instance)
		if lastErr != nil {
			return lastErr
		}
		if a.Number != len(last)+1 {
			return fmt.Errorf("%s: the next number is %d: %w", what, len(last)+1, ErrTransition)
		}
	} else if err != nil {
		return err
	}
	if !slices.Contains(attemptTransitions[old.Outcome], a.Outcome) {
		return transitionError(what, old.Outcome, a.Outcome)
	}
	if old.Outcome != "" && a.Fingerprint != old.Fingerprint {
		return fmt.Errorf("%s: fingerprint %q cannot become %q: %w", what, old.Fingerprint, a.Fingerprint, ErrTransition)
	}
	return t.putAttempt(a)
}

// putAttempt stores the attempt and keeps the index of what can be continued.
func (t *Tx) putAttempt(a Attempt) error {
	key, err := numberedKey(a.Number, a.Run, a.Instance)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("attempt %s/%d %s", a.Instance, a.Number, a.Outcome)
	if err := t.putLogged(bucketAttempts, key, a, a.Run, kindAttempt, what); err != nil || a.Fingerprint == "" {
		return err
	}
	index, err := numberedKey(a.Number, a.Fingerprint, a.Run, a.Instance)
	if err != nil {
		return err
	}
	if a.Outcome == Succeeded || a.Outcome == Skipped || len(a.Checkpoints) == 0 {
		return t.remove(bucketUnfinished, index)
	}
	return t.put(bucketUnfinished, index, a.Number)
}

// Unfinished returns the attempts of a fingerprint, of whatever run, that did not
// succeed and have checkpoints, the latest started first. Whether an engine still works
// on one says the lock of its run.
func (t *Tx) Unfinished(fingerprint string) ([]Attempt, error) {
	prefix, err := prefixKey(fingerprint)
	if err != nil {
		return nil, err
	}
	type ref struct {
		run, instance string
		number        int
	}
	var refs []ref
	err = t.scan(bucketUnfinished, prefix, func(k, _ []byte) error {
		// run, 0, instance, 0, number (4 bytes, may hold zeros)
		rest := k[len(prefix):]
		if len(rest) < 5 {
			return &DamagedError{Path: t.path, Reason: "short key among unfinished attempts"}
		}
		number := binary.BigEndian.Uint32(rest[len(rest)-4:])
		run, instance, ok := bytes.Cut(rest[:len(rest)-5], []byte{0})
		if !ok {
			return &DamagedError{Path: t.path, Reason: "short key among unfinished attempts"}
		}
		refs = append(refs, ref{string(run), string(instance), int(number)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	var list []Attempt
	for _, r := range refs {
		a, err := t.Attempt(r.run, r.instance, r.number)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	slices.SortStableFunc(list, func(a, b Attempt) int { return b.Started.Compare(a.Started) })
	return list, nil
}
