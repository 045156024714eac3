//go:build unix

package host_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/manifest"
	pb "github.com/so8t/so8t/plugins/proto/v1"
)

// bare is a plugin as somebody may write it in another language from stage.proto alone: no
// sdk, no heartbeats, no controller service.
type bare struct{ pb.UnimplementedStageServer }

// serveBare is its whole main.
func serveBare() {
	l := must(net.Listen("unix", filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "s")))
	s := grpc.NewServer()
	pb.RegisterStageServer(s, bare{})
	h := health.NewServer()
	h.SetServingStatus("plugin", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(s, h)
	fmt.Printf("1|1|unix|%s|grpc\n", l.Addr())
	_ = s.Serve(l)
}

func (bare) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeReply, error) {
	return &pb.DescribeReply{Name: "bare", Kind: "stage", With: []byte(`{"type":"object"}`)}, nil
}

// Run is silent for as long as its parameter says, or reports what no plugin may.
func (bare) Run(r *pb.RunRequest, stream pb.Stage_RunServer) error {
	with := strings.Trim(string(r.GetWith()), `"`)
	switch with {
	case "ends":
		return nil
	case "freeze":
		return syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "huge":
		return stream.Send(&pb.RunEvent{Event: &pb.RunEvent_Log{Log: &pb.LogLine{Message: strings.Repeat("x", 5<<20)}}})
	case "elsewhere":
		if err := stream.Send(&pb.RunEvent{Event: &pb.RunEvent_Checkpoint{Checkpoint: &pb.Checkpoint{Step: 1, Path: "/etc"}}}); err != nil {
			return err
		}
	default:
		<-time.After(must(time.ParseDuration(with)))
	}
	return stream.Send(&pb.RunEvent{Event: &pb.RunEvent_Result{Result: &pb.Result{}}})
}

func TestForeign_WithoutHeartbeats_IsAskedInstead(t *testing.T) {
	const limit = 600 * time.Millisecond // a loaded machine must not look dead
	p := launch(t, self("bare"), host.Options{Heartbeat: limit})
	if d, err := p.Describe(t.Context()); err != nil || d.Name != "bare" {
		t.Fatalf("described %+v, %v", d, err)
	}
	if _, err := p.Run(t.Context(), bareAttempt(t, (2*limit).String()), nil); err != nil {
		t.Errorf("a quiet plugin that answers was ended: %v", err)
	}
}

func TestForeign_FrozenWithoutHeartbeats_IsKilled(t *testing.T) {
	p := launch(t, self("bare"), host.Options{Heartbeat: 300 * time.Millisecond})
	_, err := p.Run(t.Context(), bareAttempt(t, "freeze"), nil)
	if plugins.CodeOf(err) != plugins.Crashed || !strings.Contains(err.Error(), "no sign of life") {
		t.Errorf("got %v", err)
	}
}

// bareAttempt is an attempt with the one parameter of bare.
func bareAttempt(t *testing.T, with string) *plugins.Attempt {
	a := attempt(t, "", "")
	a.With = []byte(`"` + with + `"`)
	return a
}

func TestForeign_BreaksTheProtocol(t *testing.T) {
	for with, want := range map[string]struct {
		code plugins.Code
		text string
	}{
		"ends": {plugins.Crashed, "without a result"},
		"huge": {plugins.Internal, "larger than max"},
	} {
		p := launch(t, self("bare"), host.Options{})
		_, err := p.Run(t.Context(), bareAttempt(t, with), nil)
		if plugins.CodeOf(err) != want.code || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: got %s: %v", with, plugins.CodeOf(err), err)
		}
	}
}

func TestForeign_CheckpointElsewhere_IsNotBelieved(t *testing.T) {
	p := launch(t, self("bare"), host.Options{})
	var seen []plugins.Event
	if _, err := p.Run(t.Context(), bareAttempt(t, "elsewhere"), func(e plugins.Event) { seen = append(seen, e) }); err != nil {
		t.Fatal(err)
	}
	if w, ok := seen[0].(plugins.Warning); !ok || !strings.Contains(w.Message, "/etc") {
		t.Errorf("events %+v", seen)
	}
}

func TestForeign_Command(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, manifest.PluginFileName),
		"command: [./plugin]\nenv: { "+roleKey+": bare, PASSED_ON: , ABSENT: }\nstart_timeout: 7s\n", 0o644)
	if err := os.Symlink(os.Args[0], filepath.Join(dir, "plugin")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PASSED_ON", "yes")
	found, err := manifest.ReadPlugin(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := host.Foreign(found)
	if _, ok := c.Env["ABSENT"]; ok || c.Env["PASSED_ON"] != "yes" || c.StartTimeout != 7*time.Second || c.Dir != dir {
		t.Errorf("got %+v", c)
	}
	p := launch(t, c, host.Options{})
	if d, err := p.Describe(t.Context()); err != nil || d.Name != "bare" {
		t.Errorf("described %+v, %v", d, err)
	}
}

func TestClose_Suspended_Returns(t *testing.T) {
	p := launch(t, self("stage"), host.Options{})
	if err := p.Suspend(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	p.Close()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}
