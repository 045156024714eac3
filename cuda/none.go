//go:build !cgo || !linux

package cuda

import "fmt"

// Device is never made in this build.
type Device struct{}

// Open returns ErrUnavailable: this build cannot load CUDA.
func Open(int) (*Device, error) {
	return nil, fmt.Errorf("%w: this build of so8t has no cgo or the system is not Linux", ErrUnavailable)
}

// Info says what was opened.
func (d *Device) Info() Info { return Info{} }

// Memory returns the free and total memory of the device in bytes.
func (d *Device) Memory() (free, total int64, err error) { return 0, 0, ErrUnavailable }

// Close gives the context back.
func (d *Device) Close() error { return nil }
