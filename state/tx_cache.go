package state

import "fmt"

// Cache returns the entry of a fingerprint; false when there is none.
func (t *Tx) Cache(fingerprint string) (CacheEntry, bool, error) {
	var e CacheEntry
	key, err := textKey(fingerprint)
	if err != nil {
		return e, false, err
	}
	found, err := t.get(bucketCache, key, &e)
	return e, found, err
}

// PutCache says that the outputs of a fingerprint are done. Its attempt must have
// succeeded, in this transaction or before.
func (t *Tx) PutCache(e CacheEntry) error {
	what := "cache entry of " + e.Instance
	if err := t.fenceRun(e.Run, what, e.Epoch); err != nil {
		return err
	}
	a, err := t.Attempt(e.Run, e.Instance, e.Attempt)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if a.Outcome != Succeeded || a.Fingerprint != e.Fingerprint {
		return transitionError(what, a.Outcome, Cached)
	}
	return t.putCache(e)
}

func (t *Tx) putCache(e CacheEntry) error {
	key, err := textKey(e.Fingerprint)
	if err != nil {
		return err
	}
	return t.putLogged(bucketCache, key, e, e.Run, kindCache, "cache "+e.Instance)
}

// DropCache forgets a fingerprint, for example because its outputs no longer verify.
// run is the one in whose journal that is written.
func (t *Tx) DropCache(run, fingerprint string) error {
	key, err := textKey(fingerprint)
	if err != nil {
		return err
	}
	if err := t.remove(bucketCache, key); err != nil {
		return err
	}
	return t.log(run, kindDrop, "drop cache", fingerprint)
}

// LatestParts returns the parts an instance had when it last ran; false when it never did.
func (t *Tx) LatestParts(workflow, instance string) (LatestParts, bool, error) {
	var p LatestParts
	key, err := textKey(workflow, instance)
	if err != nil {
		return p, false, err
	}
	found, err := t.get(bucketParts, key, &p)
	return p, found, err
}

// PutLatestParts replaces them.
func (t *Tx) PutLatestParts(p LatestParts) error {
	if err := t.fenceRun(p.Run, "parts of "+p.Instance, p.Epoch); err != nil {
		return err
	}
	return t.putLatestParts(p)
}

func (t *Tx) putLatestParts(p LatestParts) error {
	key, err := textKey(p.Workflow, p.Instance)
	if err != nil {
		return err
	}
	return t.putLogged(bucketParts, key, p, p.Run, kindParts, "parts "+p.Instance)
}
