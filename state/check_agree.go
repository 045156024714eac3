package state

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
)

// recordName names a record within its run.
type recordName struct {
	kind, instance string
	number         int
}

// history is what a run's journal says of its records: the sums of all values that each had, and
// those that each line (one transaction) set.
type history struct {
	known map[recordName]map[uint64]bool
	lines []map[recordName]uint64
}

func newHistory() *history { return &history{known: map[recordName]map[uint64]bool{}} }

// add takes in one line. Only what no other run can change is compared.
func (h *history) add(l journalLine) error {
	set := map[recordName]uint64{}
	for _, e := range l.Entries {
		name, sum, err := e.identify()
		if err != nil {
			return err
		}
		if name.kind == "" {
			continue
		}
		set[name] = sum
		if h.known[name] == nil {
			h.known[name] = map[uint64]bool{}
		}
		h.known[name][sum] = true
	}
	if len(set) > 0 {
		h.lines = append(h.lines, set)
	}
	return nil
}

// identify names the record of an entry and sums its value as this program would write it: an older
// one may have written it otherwise.
func (e journalEntry) identify() (recordName, uint64, error) {
	switch e.Kind {
	case kindRun:
		return sumOf(e.Value, func(r Run) recordName { return recordName{kindRun, "", 0} })
	case kindPlan:
		return sumOf(e.Value, func(p RunPlan) recordName { return recordName{kindPlan, "", 0} })
	case kindStage:
		return sumOf(e.Value, func(s StageRecord) recordName { return recordName{kindStage, s.Instance, 0} })
	case kindAttempt:
		return sumOf(e.Value, func(a Attempt) recordName { return recordName{kindAttempt, a.Instance, a.Number} })
	}
	return recordName{}, 0, nil
}

func sumOf[T any](doc json.RawMessage, name func(T) recordName) (recordName, uint64, error) {
	var record T
	if err := json.Unmarshal(doc, &record); err != nil {
		return recordName{}, 0, err
	}
	sum, err := sum(record)
	return name(record), sum, err
}

func sum(record any) (uint64, error) {
	doc, err := json.Marshal(record)
	h := fnv.New64a()
	_, _ = h.Write(doc)
	return h.Sum64(), err
}

// sums are the records of each run, summed as in a history.
func (all *allRecords) sums() (map[string]map[recordName]uint64, error) {
	runs := map[string]map[recordName]uint64{}
	var first error
	add := func(run string, name recordName, record any) {
		s, err := sum(record)
		if err != nil && first == nil {
			first = err
		}
		if runs[run] == nil {
			runs[run] = map[recordName]uint64{}
		}
		runs[run][name] = s
	}
	for _, r := range all.runs {
		add(r.ID, recordName{kindRun, "", 0}, r)
	}
	for _, p := range all.plans {
		add(p.Run, recordName{kindPlan, "", 0}, p)
	}
	for _, s := range all.stages {
		add(s.Run, recordName{kindStage, s.Instance, 0}, s)
	}
	for _, a := range all.attempts {
		add(a.Run, recordName{kindAttempt, a.Instance, a.Number}, a)
	}
	return runs, first
}

// compare finds a database that is behind the journals, and journals that are behind it. Journals
// may be ahead by one transaction, whose commit a crash cut off.
func (c *checker) compare(all *allRecords) error {
	runs, err := all.sums()
	if err != nil {
		return err
	}
	for id, records := range runs {
		h := c.histories[id]
		if h == nil {
			continue // live, missing or damaged, which is another finding
		}
		if behind := h.missing(records); behind > 1 {
			c.add(Damage, CodeDatabaseBehind, c.store.databasePath(), repairRebuild,
				"it lacks the last %d transactions that the journal of run %s has", behind, id)
			continue
		}
		for name, sum := range records {
			if !h.known[name][sum] {
				c.add(Damage, CodeJournalBehind, JournalPath(c.store.dir, id), repairJournal,
					"the journal of run %s lacks what the database knows: %s", id, name)
				break
			}
		}
	}
	return nil
}

// missing counts the last lines of which nothing is in the records.
func (h *history) missing(records map[recordName]uint64) int {
	n := 0
	for i := len(h.lines) - 1; i >= 0; i-- {
		for name, sum := range h.lines[i] {
			if now, ok := records[name]; ok && now == sum {
				return n
			}
		}
		n++
	}
	return n
}

func (n recordName) String() string {
	text := "the last value of its " + n.kind
	if n.instance != "" {
		text += fmt.Sprintf(" %q", n.instance)
	}
	if n.number > 0 {
		text += fmt.Sprintf(", number %d", n.number)
	}
	return text
}
