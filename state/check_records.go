package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// allRecords is the content of a database, each list in order of its keys.
type allRecords struct {
	runs     []Run
	plans    []RunPlan
	stages   []StageRecord
	attempts []Attempt
	cache    []CacheEntry
	parts    []LatestParts
	files    []fileDigest
	// published are the outputs that were put at paths of the project.
	published []Published
	damaged   []string // records that cannot be read
}

// readAll reads every record of every bucket and checks its checksum.
func readAll(t *Tx) (*allRecords, error) {
	all := &allRecords{}
	for _, read := range []func() error{
		func() error { return readBucket(t, bucketMeta, nil, &all.damaged) },
		func() error { return readPublished(t, &all.published) },
		func() error { return readInto(t, bucketRuns, &all.runs, &all.damaged) },
		func() error { return readInto(t, bucketPlans, &all.plans, &all.damaged) },
		func() error { return readInto(t, bucketStages, &all.stages, &all.damaged) },
		func() error { return readInto(t, bucketAttempts, &all.attempts, &all.damaged) },
		func() error { return readInto(t, bucketCache, &all.cache, &all.damaged) },
		func() error { return readBucket(t, bucketUnfinished, nil, &all.damaged) },
		func() error { return readInto(t, bucketParts, &all.parts, &all.damaged) },
		func() error { return readInto(t, bucketFiles, &all.files, &all.damaged) },
	} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func readInto[T any](t *Tx, bucket []byte, list *[]T, damaged *[]string) error {
	return readBucket(t, bucket, func(doc []byte) error {
		var record T
		if err := json.Unmarshal(doc, &record); err != nil {
			return err
		}
		*list = append(*list, record)
		return nil
	}, damaged)
}

// readBucket checks the values of a bucket and hands their JSON to take (nil: nobody).
func readBucket(t *Tx, bucket []byte, take func(doc []byte) error, damaged *[]string) error {
	return t.scan(bucket, nil, func(k, v []byte) error {
		doc, err := openValue(bucket, k, v)
		if err == nil && take != nil {
			err = take(doc)
		}
		if err != nil {
			*damaged = append(*damaged, fmt.Sprintf("record %s %q: %v", bucket, k, err))
		}
		return nil
	})
}

// readPublished reads what of bucketMeta belongs to runs. What is damaged was found before.
func readPublished(t *Tx, list *[]Published) error {
	prefix, err := prefixKey(keyPublished)
	if err != nil {
		return err
	}
	return t.scan(bucketMeta, prefix, func(k, v []byte) error {
		var p Published
		if decodeValue(bucketMeta, k, v, &p) == nil {
			*list = append(*list, p)
		}
		return nil
	})
}

// folders compares records with what lies on the disk. A live engine's run is left out:
// it is changing.
func (c *checker) folders(ctx context.Context, all *allRecords) error {
	ids, err := runFolders(c.store.dir)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	reusable := all.reusable()
	for _, r := range all.runs {
		known[r.ID] = true
		if _, alive, err := Query(c.store.dir, r.ID); err != nil {
			return err
		} else if alive {
			continue
		}
		if !slices.Contains(ids, r.ID) {
			c.add(Damage, CodeRunMissing, RunDir(c.store.dir, r.ID), repairRun, "the folder of run %s is missing, and with it its outputs", r.ID)
			continue
		}
		if r.State == RunRunning {
			c.add(Note, CodeRunInterrupted, RunDir(c.store.dir, r.ID), "", "run %s was cut off; `so8t resume %s` continues it", r.ID, r.ID)
		}
		if _, err := os.Stat(JournalPath(c.store.dir, r.ID)); errors.Is(err, fs.ErrNotExist) {
			c.add(Damage, CodeJournalMissing, JournalPath(c.store.dir, r.ID), repairJournal, "the journal of run %s is missing: the database cannot be rebuilt without it", r.ID)
		}
		if err := c.runAttempts(ctx, r.ID, all, reusable); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if !known[id] {
			if _, alive, err := Query(c.store.dir, id); err != nil {
				return err
			} else if !alive {
				if err := c.unknownRun(id); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// unknownRun is a folder without a run. Attempts are in one only when the records were lost: a run is
// committed before its first attempt, and its journal goes with its records.
func (c *checker) unknownRun(id string) error {
	folder := RunDir(c.store.dir, id)
	whole := 0
	_, err := os.Stat(JournalPath(c.store.dir, id))
	if errors.Is(err, fs.ErrNotExist) && c.opts.VerifyAttempt != nil {
		attempts, err := attemptFolders(c.store.dir, id, func(string) bool { return true })
		if err != nil {
			return err
		}
		for _, path := range attempts {
			if c.opts.VerifyAttempt(path) == nil {
				whole++
			}
		}
	}
	if whole > 0 {
		c.add(Damage, CodeRunUnknown, folder, RepairSalvage, "the records of run %s are lost, and its journal too; the outputs of %d of its attempts are whole", id, whole)
		return nil
	}
	c.add(Note, CodeRunUnknown, folder, "", "no run of this id: a crash came before its first commit, or cut a gc off; `so8t gc` removes it")
	return nil
}

// attemptsOf are the attempts of one run.
func (all *allRecords) attemptsOf(run string) []Attempt {
	var list []Attempt
	for _, a := range all.attempts {
		if a.Run == run {
			list = append(list, a)
		}
	}
	return list
}

// attemptID names an attempt.
type attemptID struct {
	run, instance string
	number        int
}

// reusable are the attempts whose outputs the cache offers.
func (all *allRecords) reusable() map[attemptID]bool {
	ids := make(map[attemptID]bool, len(all.cache))
	for _, e := range all.cache {
		ids[attemptID{e.Run, e.Instance, e.Attempt}] = true
	}
	return ids
}

// runAttempts compares one run's attempts with their folders.
func (c *checker) runAttempts(ctx context.Context, run string, all *allRecords, reusable map[attemptID]bool) error {
	expected := map[string]bool{}
	for _, a := range all.attemptsOf(run) {
		if err := ctx.Err(); err != nil {
			return err
		}
		folder := AttemptDir(c.store.dir, run, a.Instance, a.Number)
		expected[folder] = true
		c.attempt(a, folder, reusable[attemptID{a.Run, a.Instance, a.Number}])
	}
	strays, err := attemptFolders(c.store.dir, run, func(path string) bool { return !expected[path] })
	if err != nil {
		return fmt.Errorf("looking at run %q: %w", run, err)
	}
	for _, path := range strays {
		c.add(Note, CodeAttemptUnknown, path, "", "no attempt of this number: a crash came before its commit; `so8t gc` removes it")
	}
	return nil
}

func (c *checker) attempt(a Attempt, folder string, reusable bool) {
	if a.OutputsLeftOut {
		return
	}
	if a.Outcome == Succeeded {
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			severity, repair := Damage, repairForget
			if _, err := os.Stat(folder + ".damaged-1"); err == nil || !reusable {
				// A repair moved or forgot it, or the work was done again: nothing is to be mended.
				severity, repair = Note, ""
			}
			c.add(severity, CodeAttemptMissing, folder, repair, "the outputs of stage %q (run %s, attempt %d) are missing; the stage runs again when they are needed", a.Instance, a.Run, a.Number)
			return
		}
		if c.opts.VerifyAttempt != nil {
			if err := c.opts.VerifyAttempt(folder); err != nil {
				c.add(Damage, CodeAttemptDamaged, folder, repairAside, "the outputs of stage %q (run %s, attempt %d) are not what was written: %v", a.Instance, a.Run, a.Number, err)
			}
		}
		return
	}
	for _, p := range a.Checkpoints {
		path := filepath.Join(c.store.dir, filepath.FromSlash(p.Path))
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			// The one before it is used, or the stage begins anew.
			c.add(Note, CodeCheckpointMissing, path, "", "checkpoint %d of stage %q (run %s, attempt %d) is missing", p.Step, a.Instance, a.Run, a.Number)
		}
	}
}

// agreement looks for records that contradict each other, which no transaction leaves.
func (c *checker) agreement(all *allRecords) {
	path := c.store.databasePath()
	plans := map[string]bool{}
	for _, p := range all.plans {
		plans[p.Run] = true
	}
	runs := map[string]Run{}
	for _, r := range all.runs {
		runs[r.ID] = r
		if !plans[r.ID] {
			c.add(Damage, CodeRecords, path, repairRebuild, "run %s has no plan", r.ID)
		}
	}
	attempts := map[attemptID]Attempt{}
	for _, a := range all.attempts {
		attempts[attemptID{a.Run, a.Instance, a.Number}] = a
		if r, ok := runs[a.Run]; !ok || a.Epoch > r.Epoch {
			c.add(Damage, CodeRecords, path, repairRebuild, "attempt %d of stage %q belongs to no epoch of run %q", a.Number, a.Instance, a.Run)
		}
		if _, ok := attempts[attemptID{a.Run, a.Instance, a.Number - 1}]; a.Number > 1 && !ok {
			c.add(Damage, CodeRecords, path, repairRebuild, "attempt %d of stage %q of run %s has none before it", a.Number, a.Instance, a.Run)
		}
	}
	for _, s := range all.stages {
		if r, ok := runs[s.Run]; !ok || s.Epoch > r.Epoch {
			c.add(Damage, CodeRecords, path, repairRebuild, "stage %q belongs to no epoch of run %q", s.Instance, s.Run)
		}
	}
	for _, e := range all.cache {
		if a := attempts[attemptID{e.Run, e.Instance, e.Attempt}]; a.Outcome != Succeeded || a.Fingerprint != e.Fingerprint {
			c.add(Damage, CodeRecords, path, repairRebuild, "cache entry of stage %q points at attempt %d of run %s, which did not succeed with its fingerprint", e.Instance, e.Attempt, e.Run)
		}
	}
}
