package backend

// Segment is one sequence inside a packed batch: Len rows from row Start on.
type Segment struct {
	Start, Len int
	// ID names the sequence in the data set, for dropout: the same row in another batch gets the same bits.
	ID uint64
}

// PackingData says how Rows token rows divide into independent sequences. Segments are in order and do not overlap; rows in
// none of them are padding: they attend to nothing (their attention output is zero), and no loss sees them.
type PackingData struct {
	Rows     int
	Segments []Segment
	// Positions is the index into the rotary table of every row. nil: counted from 0 in each segment.
	Positions []int32
}

// Packing is PackingData on the device. It lives as long as the Go value.
type Packing interface {
	Rows() int
	Segments() []Segment
	// Triples is the number of (t, t+1, t+2) inside one segment: PET's N.
	Triples() int
}

// Triples counts PET's triples of a batch on the host.
func (p PackingData) Triples() int {
	n := 0
	for _, s := range p.Segments {
		n += max(0, s.Len-2)
	}
	return n
}
