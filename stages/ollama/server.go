package ollama

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/ollamahost"
)

const (
	startTimeout = 60 * time.Second
	startPoll    = 50 * time.Millisecond
	// requestTimeout bounds one request; loading a model of gigabytes is part of the first.
	requestTimeout = 10 * time.Minute
)

// errNoServer says that there is no server and none can be started.
var errNoServer = errors.New("no Ollama server: set OLLAMA_HOST to one, or put the program ollama on PATH")

// host returns the configured server's address, "" when one has to be started.
func (c Config) host() string {
	if c.Host != "" {
		return c.Host
	}
	return os.Getenv("OLLAMA_HOST")
}

// connect finds the configured server, or starts one that ends with stop.
func connect(ctx context.Context, c Config, scratch string) (cl *client, stop func(), err error) {
	httpClient := &http.Client{Timeout: requestTimeout}
	if host := c.host(); host != "" {
		base, err := ollamahost.Address(host)
		if err != nil {
			return nil, nil, plugins.Errorf(plugins.BadInput, "OLLAMA_HOST %w", err)
		}
		cl = &client{base: base, http: httpClient}
		if _, err := cl.version(ctx); err != nil {
			return nil, nil, plugins.Errorf(plugins.Unavailable, "reaching the Ollama server at %s: %w", base, err)
		}
		return cl, func() {}, nil
	}
	program, err := exec.LookPath("ollama")
	if err != nil {
		return nil, nil, plugins.Errorf(plugins.Unavailable, "%w", errNoServer)
	}
	return serve(ctx, program, c.models(scratch), scratch, httpClient)
}

// models is where a server that this stage starts keeps its models.
func (c Config) models(scratch string) string {
	if c.Models != "" {
		return c.Models
	}
	return filepath.Join(scratch, "models")
}

// serve starts a server on a free port and waits until it answers.
func serve(ctx context.Context, program, models, scratch string, httpClient *http.Client) (*client, func(), error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("finding a free port: %w", err)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	cmd := plugins.Command(life, program, "serve")
	cmd.Env = append(os.Environ(), "OLLAMA_HOST=127.0.0.1:"+port, "OLLAMA_MODELS="+models, "HOME="+scratch, "OLLAMA_NOPRUNE=1")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr // into the attempt's log
	// Asked politely it ends its runner, which is a child of its own; WaitDelay bounds the wait.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		end()
		return nil, nil, plugins.Errorf(plugins.Unavailable, "starting %s serve: %w", program, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	stop := func() {
		end()
		<-exited //nolint:errcheck // it was killed
	}
	cl := &client{base: "http://127.0.0.1:" + port, http: httpClient}
	if err := ready(ctx, cl, exited); err != nil {
		stop()
		return nil, nil, err
	}
	return cl, stop, nil
}

// ready waits until the server answers, or ends, or takes too long.
func ready(ctx context.Context, cl *client, exited chan error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		if _, err := cl.version(ctx); err == nil {
			return nil
		}
		select {
		case err := <-exited:
			exited <- err
			return plugins.Errorf(plugins.Unavailable, "ollama serve ended before it was ready: %v", err)
		case <-ctx.Done():
			return plugins.Errorf(plugins.Unavailable, "ollama serve did not answer within %v", startTimeout)
		case <-tick.C:
		}
	}
}

func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
