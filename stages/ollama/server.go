package ollama

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/ollamahost"
)

const (
	startTimeout = 60 * time.Second
	startPoll    = 50 * time.Millisecond
	// startTries: another program may take the free port before the server does.
	startTries = 3
)

// errNoServer says that there is no server and none can be started.
var errNoServer = errors.New("no Ollama server: set OLLAMA_HOST to one, or put the program ollama on PATH")

// connect finds the configured server, or starts one that ends with stop.
func connect(ctx context.Context, c Config, scratch string) (cl *client, stop func(), err error) {
	if host := c.host(); host != "" {
		base, err := ollamahost.Address(host)
		if err != nil {
			return nil, nil, plugins.Errorf(plugins.BadInput, "OLLAMA_HOST %w", err)
		}
		cl = &client{base: base, http: &http.Client{}, patience: c.patience(), threads: c.Threads}
		if _, err := cl.version(ctx); err != nil {
			return nil, nil, err
		}
		return cl, func() {}, nil
	}
	program, err := exec.LookPath("ollama")
	if err != nil {
		return nil, nil, plugins.Errorf(plugins.Unavailable, "%w", errNoServer)
	}
	return startSomewhere(ctx, program, c, scratch)
}

// startSomewhere starts a server on a port that is free.
func startSomewhere(ctx context.Context, program string, c Config, scratch string) (cl *client, stop func(), err error) {
	for range startTries {
		if cl, stop, err = start(ctx, program, c, scratch); err == nil || !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	return cl, stop, err
}

// start starts a server on a free port and waits until it answers.
func start(ctx context.Context, program string, c Config, scratch string) (*client, func(), error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("finding a free port: %w", err)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	cmd := plugins.Command(life, program, "serve")
	cmd.Env = append(os.Environ(), "OLLAMA_HOST=127.0.0.1:"+port, "OLLAMA_MODELS="+c.models(scratch), "HOME="+scratch, "OLLAMA_NUM_PARALLEL=1")
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
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
	cl := &client{base: "http://127.0.0.1:" + port, http: &http.Client{}, patience: c.patience(), threads: c.Threads}
	if err := awaitReady(ctx, cl, exited, said); err != nil {
		stop()
		return nil, nil, err
	}
	return cl, stop, nil
}

// awaitReady waits until the server answers, or ends, or takes too long.
func awaitReady(ctx context.Context, cl *client, exited chan error, said *tail) error {
	limit, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		_, err := cl.version(limit)
		if err == nil {
			return nil
		}
		var unreachable *unreachableError
		if !errors.As(err, &unreachable) && limit.Err() == nil {
			return err // it answers, but is too old
		}
		select {
		case err := <-exited:
			exited <- err
			return plugins.Errorf(plugins.Unavailable, "ollama serve ended before it was ready (%w): %s", err, said)
		case <-limit.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return plugins.Errorf(plugins.Unavailable, "ollama serve did not answer within %v: %s", startTimeout, said)
		case <-tick.C:
		}
	}
}

// tail passes a server's words on to the attempt's log and remembers the last of them.
type tail struct {
	mu   sync.Mutex
	last []byte
}

// tailBytes is what an error message can show of a log.
const tailBytes = 1024

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	t.last = t.last[max(0, len(t.last)-tailBytes):]
	return os.Stderr.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.last))
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
