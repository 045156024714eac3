package loop

import (
	"cmp"
	"slices"
)

// order is the sequence in which the rows of an epoch are visited: the rows sorted by a
// hash of (seed, epoch, row), so any position can be found again without replaying a
// random stream.
type order struct {
	fixed bool // the rows' own order in every epoch
	seed  uint64
	rows  int
	epoch int64
	perm  []int

	// With lengths, every window of so many rows holds rows of nearly one length: see group.
	lengths []int
	window  int
}

func newOrder(seed uint64, rows int) *order { return &order{seed: seed, rows: rows, epoch: -1} }

// row is the index of the row at a position of the endless sequence of epochs.
func (o *order) row(position int64) int {
	if o.fixed {
		return int(position % int64(o.rows))
	}
	epoch := position / int64(o.rows)
	if epoch != o.epoch {
		o.shuffle(epoch)
	}
	return o.perm[position%int64(o.rows)]
}

func (o *order) shuffle(epoch int64) {
	type keyed struct {
		key uint64
		row int
	}
	base := Mix(o.seed, uint64(epoch))
	ks := make([]keyed, o.rows)
	for i := range ks {
		ks[i] = keyed{Mix(base, uint64(i)), i}
	}
	slices.SortFunc(ks, func(a, b keyed) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return a.row - b.row
	})
	o.perm = o.perm[:0]
	for _, k := range ks {
		o.perm = append(o.perm, k.row)
	}
	if o.lengths != nil {
		o.group(base)
	}
	o.epoch = epoch
}

// groupWindows is how many windows' rows are sorted together: enough that a window's rows
// are alike, few enough that what meets in a window changes from epoch to epoch.
const groupWindows = 50

// group sorts stretches of the permutation by length and shuffles the windows within each,
// so that long rows do not all come first.
func (o *order) group(base uint64) {
	var out []int
	for stretch := range slices.Chunk(o.perm, groupWindows*o.window) {
		slices.SortStableFunc(stretch, func(a, b int) int { return o.lengths[b] - o.lengths[a] })
		windows := slices.Collect(slices.Chunk(stretch, o.window))
		last := len(windows) - 1
		if len(windows[last]) == o.window {
			last++
		} // a short one stays at the end: before others it would shift them
		slices.SortFunc(windows[:last], func(a, b []int) int { return cmp.Compare(Mix(base, uint64(a[0])), Mix(base, uint64(b[0]))) })
		out = append(out, slices.Concat(windows...)...)
	}
	o.perm = out
}

// Mix hashes a word into a seed: splitmix64's finaliser over both (Steele, Lea, Flood 2014).
func Mix(seed, word uint64) uint64 {
	z := seed + 0x9e3779b97f4a7c15*(word+1)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
