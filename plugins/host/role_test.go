//go:build unix

package host_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/sdk"
)

// The tests start this test binary itself in the role that this variable names.
const roleKey = "SO8T_TEST_ROLE"

func TestMain(m *testing.M) {
	role, name, _ := strings.Cut(os.Getenv(roleKey), ":")
	switch role {
	case "":
		os.Exit(m.Run())
	case "stage":
		if err := sdk.Serve(testStage{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "raw":
		raw(name)
	case "bare":
		serveBare()
	case "engine":
		engine()
	case "sleeper":
		sleeper()
	}
}

// self starts this binary in a role.
func self(role string, env ...string) host.Command {
	c := host.Command{Path: os.Args[0], Env: map[string]string{roleKey: role}}
	for i := 0; i < len(env); i += 2 {
		c.Env[env[i]] = env[i+1]
	}
	return c
}

// testStage does what its parameter `do` says.
type testStage struct{}

type testConfig struct {
	Do   string `json:"do"`
	Text string `json:"text"`
}

func (testStage) Describe() plugins.Description {
	return plugins.Description{
		Name: "test", Version: "1", Kind: plugins.KindStage, With: plugins.SchemaOf(testConfig{}),
		Outputs: []plugins.Output{{Name: "out"}},
	}
}

func (testStage) Check(_ context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	var c testConfig
	if err := json.Unmarshal(req.With, &c); err != nil {
		return plugins.CheckReport{}, plugins.Errorf(plugins.BadInput, "%w", err)
	}
	if c.Do == "hang" {
		forever()
	}
	return plugins.CheckReport{
		Problems: []plugins.Problem{{Field: "do", Code: plugins.BadInput, Message: "not " + c.Do}},
		Facts:    map[string]string{"cwd": must(os.Getwd()), "env": strings.Join(os.Environ(), "\n")},
	}, nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (testStage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	var c testConfig
	if err := json.Unmarshal(a.With, &c); err != nil {
		return plugins.Result{}, err
	}
	a.Progress(0, 2, "step")
	if do, ok := deeds[c.Do]; ok {
		if err := do(ctx, a, c); err != nil {
			return plugins.Result{}, err
		}
	}
	a.Progress(2, 2, "step")
	if err := os.WriteFile(filepath.Join(a.OutputDir, "out"), []byte("done\n"), 0o644); err != nil {
		return plugins.Result{}, err
	}
	return plugins.Result{Metrics: map[string]float64{"x": 1}}, nil
}

// deeds are what a test stage can do in Run.
var deeds = map[string]func(context.Context, *plugins.Attempt, testConfig) error{
	"children": func(ctx context.Context, _ *plugins.Attempt, c testConfig) error {
		return exec.CommandContext(ctx, "sh", "-c", c.Text).Run()
	},
	"typed": func(context.Context, *plugins.Attempt, testConfig) error {
		return plugins.Errorf(plugins.OutOfDisk, "no space in %s", "x")
	},
	"exit": func(context.Context, *plugins.Attempt, testConfig) error {
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(7)
		return nil
	},
	"panic": func(context.Context, *plugins.Attempt, testConfig) error { panic("oh no") },
	"segv": func(context.Context, *plugins.Attempt, testConfig) error {
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	},
	"freeze": func(context.Context, *plugins.Attempt, testConfig) error {
		return syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	},
	"print": func(_ context.Context, a *plugins.Attempt, c testConfig) error {
		fmt.Fprintln(os.Stderr, "stderr "+c.Text)
		fmt.Println("stdout " + c.Text)
		a.Log("event " + c.Text)
		a.Warn("warning " + c.Text)
		err := plugins.Errorf(plugins.BadInput, "error %s", c.Text)
		err.RetryWith = map[string]any{"a": "with " + c.Text, "b": []any{c.Text, 1, map[string]any{c.Text: true}}}
		return err
	},
	"wait": func(ctx context.Context, a *plugins.Attempt, _ testConfig) error {
		a.Log("waiting")
		<-a.Stop
		if err := a.SaveCheckpoint(ctx, 7, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "state"), []byte("7"), 0o644)
		}); err != nil {
			return err
		}
		return context.Canceled
	},
	"deaf": func(ctx context.Context, a *plugins.Attempt, _ testConfig) error {
		a.Log("waiting")
		forever()
		return nil
	},
	"grace": func(ctx context.Context, a *plugins.Attempt, _ testConfig) error {
		a.Log("waiting")
		<-ctx.Done()
		return ctx.Err()
	},
	"flood": func(ctx context.Context, a *plugins.Attempt, _ testConfig) error {
		line := strings.Repeat("x", 1000)
		for i := range 20000 {
			a.Progress(int64(i), 20000, "step")
			a.Log(line)
		}
		return nil
	},
	"orphan": func(ctx context.Context, a *plugins.Attempt, c testConfig) error {
		pid, err := startSleeper(exec.Command(os.Args[0]), c.Text)
		if err != nil {
			return err
		}
		a.Log(fmt.Sprintf("orphan %d", pid))
		if c.Text == "stay" {
			<-ctx.Done()
		}
		return nil
	},
	"server": func(ctx context.Context, a *plugins.Attempt, c testConfig) error {
		cmd := plugins.Command(context.Background(), os.Args[0])
		cmd.Env = append(os.Environ(), roleKey+"=sleeper")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		if err := awaitReady(pipe); err != nil {
			return err
		}
		a.Log(fmt.Sprintf("server %d", cmd.Process.Pid))
		<-ctx.Done()
		return ctx.Err()
	},
}

// startSleeper starts a process in a session of its own that never ends by itself.
func startSleeper(cmd *exec.Cmd, _ string) (pid int, err error) {
	cmd.Env = append(os.Environ(), roleKey+"=sleeper")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, awaitReady(pipe)
}

func awaitReady(r io.Reader) error {
	line, err := bufio.NewReader(r).ReadString('\n')
	if err == nil && line != "ready\n" {
		err = errors.New("said " + line)
	}
	return err
}

func sleeper() {
	fmt.Println("ready")
	forever()
}

// forever blocks, for long enough; a bare select would be seen as a deadlock.
func forever() { <-time.After(10 * time.Minute) }

// raw plays programs that are no proper plugins.
func raw(name string) {
	switch name {
	case "rubbish":
		fmt.Println("Hello, I am a script and no plugin")
		forever()
	case "endless":
		for {
			fmt.Print(strings.Repeat("y", 1000))
		}
	case "old":
		fmt.Println("1|99|unix|/nowhere|grpc")
		forever()
	case "quits":
		fmt.Fprintln(os.Stderr, "Traceback: no module named so8t")
		os.Exit(3)
	case "silent":
		forever()
	case "mute": // a handshake, and nobody behind it
		l := must(net.Listen("unix", filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "s")))
		fmt.Printf("1|1|unix|%s|grpc\n", l.Addr())
		forever()
	case "elsewhere":
		fmt.Println("1|1|tcp|192.0.2.1:99|grpc")
		forever()
	case "closes":
		os.Stdout.Close()
		forever()
	}
}

// engine plays an engine that is killed: it starts a stage with a server, says which
// processes there are, and waits.
func engine() {
	var records []host.Record
	c := self("stage")
	c.Builtin = os.Getenv("SO8T_TEST_BUILTIN") != ""
	p, err := host.Launch(context.Background(), c, host.Options{Started: func(r host.Record) error {
		records = append(records, r)
		return nil
	}})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	dir := os.Getenv("SO8T_TEST_DIR")
	with, _ := json.Marshal(testConfig{Do: os.Getenv("SO8T_TEST_DO"), Text: "stay"})
	_, _ = p.Run(context.Background(), &plugins.Attempt{With: with, OutputDir: dir}, func(e plugins.Event) {
		if l, ok := e.(plugins.LogLine); ok {
			record, _ := json.Marshal(records[0])
			fmt.Printf("%s %s\n", record, l.Message)
		}
	})
}
