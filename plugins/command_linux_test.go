package plugins_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/so8t/so8t/plugins"
)

const roleKey = "SO8T_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleKey) {
	case "":
		os.Exit(m.Run())
	case "sleeper":
		fmt.Println("ready")
		forever()
	case "starter":
		starter()
	}
}

// starter starts a sleeper from a thread that then ends, and says its pid.
func starter() {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with this goroutine
		defer close(done)
		cmd := plugins.Command(context.Background(), os.Args[0])
		cmd.Env = append(os.Environ(), roleKey+"=sleeper")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err == nil {
			_, err = bufio.NewReader(out).ReadString('\n')
		}
		fmt.Println(cmd.Process.Pid, err)
	}()
	<-done
	forever()
}

// forever blocks, for long enough; a bare select would be seen as a deadlock.
func forever() { <-time.After(10 * time.Minute) }

func TestCommand_DiesWithTheProcess_NotWithTheThread(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleKey+"=starter")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var pid int
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasSuffix(line, "<nil>\n") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if ends(fd, 50) {
		t.Fatal("it died with the thread that asked for it")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if !ends(fd, 5000) {
		t.Error("it outlived the process")
	}
}

// ends says whether the process ends within so many milliseconds.
func ends(fd, ms int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, ms)
		if err != unix.EINTR {
			return err == nil && n == 1
		}
	}
}

func TestCommand_Output(t *testing.T) {
	out, err := plugins.Command(t.Context(), "sh", "-c", "echo out; echo err >&2").Output()
	if err != nil || string(out) != "out\n" {
		t.Errorf("got %q, %v", out, err)
	}
	out, err = plugins.Command(t.Context(), "sh", "-c", "echo out; echo err >&2; exit 3").CombinedOutput()
	if err == nil || string(out) != "out\nerr\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if err := plugins.Command(t.Context(), "so8t-no-such-program").Run(); err == nil {
		t.Error("a program that is not there ran")
	}
}

func TestCommand_Slack(t *testing.T) {
	const file = "/proc/self/timerslack_ns"
	if _, err := os.Stat(file); err != nil {
		t.Skip("this kernel does not tell:", err)
	}
	for _, c := range []struct {
		slack time.Duration
		want  string
	}{{500 * time.Microsecond, "500000\n"}, {0, "50000\n"}} { // the second does not get the first's
		cmd := plugins.Command(t.Context(), "cat", file)
		cmd.Slack = c.slack
		if out, err := cmd.Output(); err != nil || string(out) != c.want {
			t.Errorf("with %v it is %q, %v", c.slack, out, err)
		}
	}
}
