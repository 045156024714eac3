package console

import "slices"

// overview is what of a board depends on the outcomes of its stages alone: a table is drawn ten times a
// second, and of thousands of stages hardly any changes in between.
type overview struct {
	limit  int
	counts map[string]int // all stages by outcome
	shown  []*row
	hidden map[string]int // those that are not shown, by outcome
}

// overview of at most limit rows; it is kept until an outcome changes.
func (b *Board) overview(limit int) overview {
	if b.seen.counts == nil || b.seen.limit != limit {
		b.seen = overview{limit: limit, counts: map[string]int{}, hidden: map[string]int{}, shown: b.visible(limit)}
		for _, r := range b.rows {
			b.seen.counts[r.outcome]++
			b.seen.hidden[r.outcome]++
		}
		for _, r := range b.seen.shown {
			b.seen.hidden[r.outcome]--
		}
	}
	return b.seen
}

// someRows is how many of those that wait, and of those that have just ended, are shown of a run
// that is larger than the screen.
const someRows = 5

// visible picks the rows to show, in order: all when they fit, else what runs, what failed, what
// ended last and what comes next. Of a run that is over the screen is filled.
func (b *Board) visible(limit int) []*row {
	if len(b.rows) <= limit {
		return b.rows
	}
	want := map[*row]bool{}
	pick := func(rows []*row, most int, match func(*row) bool) {
		for _, r := range rows {
			if most > 0 && len(want) < limit && match(r) && !want[r] {
				want[r] = true
				most--
			}
		}
	}
	is := func(outcomes ...string) func(*row) bool {
		return func(r *row) bool { return slices.Contains(outcomes, r.outcome) }
	}
	any := func(*row) bool { return true }
	pick(b.rows, limit, is("running", waiting))
	pick(b.rows, limit, is("failed", "interrupted"))
	pick(b.endedLast(want), someRows, any)
	pick(b.rows, someRows, is("pending"))
	if b.State != "" {
		latest := slices.Clone(b.rows)
		slices.SortStableFunc(latest, func(x, y *row) int { return y.ended.Compare(x.ended) })
		pick(latest, limit, any)
	}
	var shown []*row
	for _, r := range b.rows {
		if want[r] {
			shown = append(shown, r)
		}
	}
	return shown
}

// endedLast are the few rows that ended last and are not picked yet, the last first.
func (b *Board) endedLast(picked map[*row]bool) []*row {
	var last []*row
	for _, r := range b.rows {
		if r.ended.IsZero() || len(last) == someRows && !r.ended.After(last[someRows-1].ended) || picked[r] {
			continue
		}
		at := len(last)
		for at > 0 && r.ended.After(last[at-1].ended) {
			at--
		}
		last = slices.Insert(last, at, r)
		last = last[:min(len(last), someRows)]
	}
	return last
}
