package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"

	"github.com/so8t/so8t/plugins"
	pb "github.com/so8t/so8t/plugins/proto/v1"
)

// stage is a plugins.Stage of functions.
type stage struct {
	check func(plugins.CheckRequest) (plugins.CheckReport, error)
	run   func(context.Context, *plugins.Attempt) (plugins.Result, error)
}

func (stage) Describe() plugins.Description { return plugins.Description{Name: "s"} }
func (s stage) Check(_ context.Context, r plugins.CheckRequest) (plugins.CheckReport, error) {
	return s.check(r)
}
func (s stage) Run(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
	return s.run(ctx, a)
}

// connect serves a stage and returns the other end.
func connect(t *testing.T, s stage) *Client {
	t.Helper()
	client, _ := serve(t, NewServer(s))
	return client
}

// serve serves a service in memory.
func serve(t *testing.T, service pb.StageServer) (*Client, *grpc.Server) {
	t.Helper()
	l := bufconn.Listen(1 << 16)
	s := grpc.NewServer()
	pb.RegisterStageServer(s, service)
	h := health.NewServer()
	h.SetServingStatus("plugin", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(s, h)
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(l) })
	conn, err := grpc.NewClient("passthrough:x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); s.Stop(); served.Wait() })
	return NewClient(conn), s
}

func ignoring() Receiver {
	return Receiver{Alive: func(bool) {}, Event: func(plugins.Event) {}}
}

func TestCheck_ErrorAndReport(t *testing.T) {
	c := connect(t, stage{check: func(r plugins.CheckRequest) (plugins.CheckReport, error) {
		if len(r.Pending) == 0 {
			return plugins.CheckReport{}, plugins.Errorf(plugins.Unavailable, "no server")
		}
		return plugins.CheckReport{Problems: []plugins.Problem{{Field: r.Pending[0], Code: plugins.BadInput}}}, nil
	}})
	if _, err := c.Check(t.Context(), plugins.CheckRequest{}); plugins.CodeOf(err) != plugins.Unavailable {
		t.Errorf("got %v", err)
	}
	r, err := c.Check(t.Context(), plugins.CheckRequest{Pending: []string{"model"}})
	if err != nil || r.Problems[0].Field != "model" {
		t.Errorf("got %+v, %v", r, err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("no health service: %v", err)
	}
}

func TestRun_EventsComeInOrder(t *testing.T) {
	c := connect(t, stage{run: func(_ context.Context, a *plugins.Attempt) (plugins.Result, error) {
		for i := range int64(100) {
			a.Progress(i, 100, "step")
		}
		return plugins.Result{Skipped: "enough"}, nil
	}})
	var done []int64
	r, err := c.Run(t.Context(), &plugins.Attempt{}, time.Second, Receiver{
		Alive: func(bool) {},
		Event: func(e plugins.Event) { done = append(done, e.(plugins.Progress).Done) },
	})
	if err != nil || r.Skipped != "enough" {
		t.Errorf("got %+v, %v", r, err)
	}
	if len(done) != 100 || !slices.IsSorted(done) {
		t.Errorf("events %v", done)
	}
}

func TestRun_QuietStage_GivesSignsOfLife(t *testing.T) {
	beats := make(chan bool, 100)
	c := connect(t, stage{run: func(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
		<-a.Stop
		return plugins.Result{}, nil
	}})
	done := make(chan error, 1)
	go func() {
		_, err := c.Run(t.Context(), &plugins.Attempt{}, 5*time.Millisecond, Receiver{
			Alive: func(beat bool) { beats <- beat }, Event: func(plugins.Event) {},
		})
		done <- err
	}()
	for range 3 {
		if !<-beats {
			t.Error("an event came")
		}
	}
	if err := c.Stop(t.Context(), time.Minute); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestStop_StreamStaysOpen_ThenContextEnds(t *testing.T) {
	c := connect(t, stage{run: func(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
		a.Log("ready")
		<-a.Stop
		if ctx.Err() != nil {
			return plugins.Result{}, errors.New("cancelled before the grace time")
		}
		a.Report(plugins.Saved{Checkpoint: plugins.Checkpoint{Step: 9}})
		<-ctx.Done()
		a.Log("late")
		return plugins.Result{}, ctx.Err()
	}})
	var seen []string
	_, err := c.Run(t.Context(), &plugins.Attempt{}, time.Second, Receiver{
		Alive: func(bool) {},
		Event: func(e plugins.Event) {
			seen = append(seen, fmt.Sprintf("%T", e))
			if len(seen) == 1 {
				if err := c.Stop(t.Context(), 10*time.Millisecond); err != nil {
					t.Error(err)
				}
			}
		},
	})
	if plugins.CodeOf(err) != plugins.Cancelled || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("got %v", err)
	}
	if want := []string{"plugins.LogLine", "plugins.Saved", "plugins.LogLine"}; !slices.Equal(seen, want) {
		t.Errorf("saw %v", seen)
	}
}

func TestStop_BeforeRun_IsRemembered(t *testing.T) {
	c := connect(t, stage{run: func(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
		<-a.Stop
		return plugins.Result{Skipped: "stopped"}, nil
	}})
	if err := c.Stop(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	r, err := c.Run(t.Context(), &plugins.Attempt{}, time.Second, ignoring())
	if err != nil || r.Skipped != "stopped" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestRun_Twice_SecondIsRefused(t *testing.T) {
	c := connect(t, stage{run: func(ctx context.Context, a *plugins.Attempt) (plugins.Result, error) {
		a.Log("ready")
		<-ctx.Done()
		return plugins.Result{}, ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Run(ctx, &plugins.Attempt{}, time.Second, Receiver{Alive: func(bool) {}, Event: func(plugins.Event) {
		if _, err := c.Run(ctx, &plugins.Attempt{}, time.Second, ignoring()); plugins.CodeOf(err) != plugins.Unavailable {
			t.Errorf("the second: %v", err)
		}
		cancel()
	}})
	if plugins.CodeOf(err) != plugins.Cancelled {
		t.Errorf("the first: %v", err)
	}
}

func TestRun_LateEvents_AreDropped(t *testing.T) {
	late := make(chan *plugins.Attempt, 1)
	c := connect(t, stage{run: func(_ context.Context, a *plugins.Attempt) (plugins.Result, error) {
		late <- a
		return plugins.Result{}, nil
	}})
	if _, err := c.Run(t.Context(), &plugins.Attempt{}, time.Second, ignoring()); err != nil {
		t.Fatal(err)
	}
	(<-late).Log("nobody listens")
}

// rude ends a Run without a result, as a plugin in another language may.
type rude struct{ pb.UnimplementedStageServer }

func (rude) Run(*pb.RunRequest, pb.Stage_RunServer) error { return nil }

func TestRudePlugin(t *testing.T) {
	c, s := serve(t, rude{})
	if _, err := c.Run(t.Context(), &plugins.Attempt{}, time.Second, ignoring()); !errors.Is(err, ErrGone) {
		t.Errorf("no result: %v", err)
	}
	if _, err := c.Describe(t.Context()); plugins.CodeOf(err) != plugins.Unavailable {
		t.Errorf("no Describe: %v", err)
	}
	s.Stop()
	if _, err := c.Describe(t.Context()); !errors.Is(err, ErrGone) {
		t.Errorf("gone: %v", err)
	}
}
