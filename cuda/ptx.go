package cuda

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
)

// The kernels for cards of compute capability 7.5, 8.0 and 9.0 on. `task gen:cuda` makes them from kernels/*.cu; a test compares their digest.
//
//go:embed kernels/*.ptx.gz
var compiled embed.FS

// PTX is the newest of the compiled kernels that a card of this compute capability runs, with a zero byte at the end.
func PTX(major, minor int) ([]byte, error) {
	name := ""
	switch capability := 10*major + minor; {
	case capability >= 90:
		name = "90"
	case capability >= 80:
		name = "80"
	case capability >= 75:
		name = "75"
	default:
		return nil, fmt.Errorf("the card's compute capability is %d.%d; the kernels need 7.5 (Turing) or newer", major, minor)
	}
	packed, err := compiled.ReadFile("kernels/kernels_" + name + ".ptx.gz")
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpacking the kernels: %w", err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("unpacking the kernels: %w", err)
	}
	return append(text, 0), nil
}
