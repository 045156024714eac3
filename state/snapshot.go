package state

import (
	"context"
	"slices"
)

// RunSnapshot is everything the state holds of one run, as of one moment.
type RunSnapshot struct {
	Run      Run
	Stages   []StageRecord // in the order of the plan
	Attempts []Attempt     // by instance (sorted) and number
}

// rawRecord is a record as it lies in the database.
type rawRecord struct{ key, value []byte }

// ReadRun returns a run, which name means as for FindRun. Its records are only copied while writers
// wait, and are checked and decoded after that: an engine is kept for a fraction of the time. meanwhile
// is called while they wait, so that what it sees of the run's engine belongs to the records.
func (s *Store) ReadRun(ctx context.Context, name string, meanwhile func(id string) error) (RunSnapshot, error) {
	var snapshot RunSnapshot
	var plan, stages, attempts []rawRecord
	path := s.databasePath()
	err := s.View(ctx, func(t *Tx) error {
		id, err := t.FindRun(name)
		if err != nil {
			return err
		}
		if snapshot.Run, err = t.Run(id); err != nil {
			return err
		}
		if err := meanwhile(id); err != nil {
			return err
		}
		key, err := textKey(id)
		if err != nil {
			return err
		}
		below, err := prefixKey(id)
		if err != nil {
			return err
		}
		for _, from := range []struct {
			bucket, prefix []byte
			to             *[]rawRecord
		}{{bucketPlans, key, &plan}, {bucketStages, below, &stages}, {bucketAttempts, below, &attempts}} {
			if *from.to, err = t.copyOut(from.bucket, from.prefix); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return snapshot, err
	}
	plans, err := decodeAll[struct {
		Order []string `json:"order"`
	}](path, bucketPlans, plan)
	if err != nil {
		return snapshot, err
	}
	if snapshot.Stages, err = decodeAll[StageRecord](path, bucketStages, stages); err != nil {
		return snapshot, err
	}
	for _, p := range plans {
		inOrder(snapshot.Stages, p.Order)
	}
	snapshot.Attempts, err = decodeAll[Attempt](path, bucketAttempts, attempts)
	return snapshot, err
}

// Outcomes counts the instances of a run by their outcomes.
func (s *Store) Outcomes(ctx context.Context, id string) (map[Outcome]int, error) {
	below, err := prefixKey(id)
	if err != nil {
		return nil, err
	}
	var records []rawRecord
	err = s.View(ctx, func(t *Tx) error {
		var err error
		records, err = t.copyOut(bucketStages, below)
		return err
	})
	if err != nil {
		return nil, err
	}
	stages, err := decodeAll[struct {
		Outcome Outcome `json:"outcome"`
	}](s.databasePath(), bucketStages, records)
	counts := map[Outcome]int{}
	for _, stage := range stages {
		counts[stage.Outcome]++
	}
	return counts, err
}

// copyOut copies the records whose keys begin with prefix.
func (t *Tx) copyOut(bucket, prefix []byte) ([]rawRecord, error) {
	var list []rawRecord
	err := t.scan(bucket, prefix, func(k, v []byte) error {
		both := append(append(make([]byte, 0, len(k)+len(v)), k...), v...)
		list = append(list, rawRecord{both[:len(k):len(k)], both[len(k):]})
		return nil
	})
	return list, err
}

func decodeAll[T any](path string, bucket []byte, records []rawRecord) ([]T, error) {
	list := make([]T, len(records))
	t := &Tx{path: path}
	for i, r := range records {
		if err := t.decode(bucket, r.key, r.value, &list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// inOrder sorts stages as the plan lists them; what it does not name follows.
func inOrder(stages []StageRecord, order []string) {
	position := make(map[string]int, len(order))
	for i, name := range order {
		position[name] = i + 1
	}
	rank := func(s StageRecord) int {
		if p := position[s.Instance]; p > 0 {
			return p
		}
		return len(order) + 1
	}
	slices.SortStableFunc(stages, func(a, b StageRecord) int { return rank(a) - rank(b) })
}
