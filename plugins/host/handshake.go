package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/internal/wire"
)

// maxHandshake bounds the first line of a plugin, in bytes.
const maxHandshake = 4 << 10

// readHandshake reads the first line of a plugin's output and what came with it. It reads no
// more than it must to see that the line is none.
func readHandshake(r io.Reader) (line string, rest []byte, err error) {
	buf := make([]byte, 0, maxHandshake)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if i := bytes.IndexByte(buf, '\n'); i >= 0 {
			return strings.TrimSuffix(string(buf[:i]), "\r"), buf[i+1:], nil
		}
		if err != nil || len(buf) == cap(buf) {
			return string(buf), nil, err
		}
	}
}

// checkHandshake says what is wrong with a handshake line, as a user can understand it.
func checkHandshake(line string) error {
	if line == wire.ReplacedLine {
		return plugins.Errorf(plugins.Unavailable,
			"the so8t binary was replaced while it was running: start so8t again")
	}
	f := strings.Split(line, "|")
	if len(f) < 5 {
		return plugins.Errorf(plugins.BadInput, "it printed %s instead of a handshake line: is it a so8t plugin?", excerpt(line))
	}
	if f[0] != "1" {
		return plugins.Errorf(plugins.BadInput, "it speaks version %s of the handshake, this so8t version 1", excerpt(f[0]))
	}
	if f[1] != strconv.Itoa(wire.ProtocolVersion) {
		return plugins.Errorf(plugins.BadInput, "it speaks version %s of the plugin protocol, this so8t version %d: one of the two is too old",
			excerpt(f[1]), wire.ProtocolVersion)
	}
	if f[4] != "grpc" {
		return plugins.Errorf(plugins.BadInput, "it offers %s, not grpc", excerpt(f[4]))
	}
	return checkAddress(f[2], f[3])
}

// checkAddress accepts what only this machine can be behind.
func checkAddress(network, address string) error {
	switch network {
	case "unix":
		if filepath.IsAbs(address) {
			return nil
		}
	case "tcp":
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsLoopback() {
			return nil
		}
	}
	return plugins.Errorf(plugins.BadInput, "it listens on %s, not on a unix socket or a loopback address",
		excerpt(network+" "+address))
}

// excerpt quotes the beginning of what a plugin printed.
func excerpt(text string) string {
	const most = 160 // characters
	if r := []rune(text); len(r) > most {
		return fmt.Sprintf("%q…", string(r[:most]))
	}
	return strconv.Quote(text)
}

// errNoHandshake says that the output ended before a line came.
var errNoHandshake = errors.New("no handshake")
