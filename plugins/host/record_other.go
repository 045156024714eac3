//go:build !linux

package host

import "errors"

// sweepRecorded ends the processes that are recorded and still the same ones.
func sweepRecorded(records []Record) ([]Record, error) {
	var gone []Record
	var errs []error
	for _, r := range records {
		if b := birth(r.PID); b == "" || b != r.Birth {
			continue
		}
		if err := end(r); err != nil {
			errs = append(errs, err)
			continue
		}
		gone = append(gone, r)
	}
	return gone, errors.Join(errs...)
}
