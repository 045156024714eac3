// Package ollamahost reads where an Ollama server is, as Ollama itself reads OLLAMA_HOST.
package ollamahost

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// defaultPort of an Ollama server.
const defaultPort = "11434"

// Address turns a host, host:port or URL into a base address, http://host:port. A server that
// listens everywhere is reached on this machine.
func Address(host string) (string, error) {
	text := host
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return "", fmt.Errorf("%q is no address", host)
	}
	name, port := u.Hostname(), u.Port()
	if name == "0.0.0.0" || name == "::" {
		name = "127.0.0.1"
	}
	if port == "" {
		port = defaultPort
	}
	return u.Scheme + "://" + net.JoinHostPort(name, port), nil
}
