package wire

import (
	"context"
	"sync"
	"time"

	"github.com/so8t/so8t/plugins"
	pb "github.com/so8t/so8t/plugins/proto/v1"
)

// Server serves a stage. One Run at a time.
type Server struct {
	pb.UnimplementedStageServer
	stage plugins.Stage

	mu      sync.Mutex
	current *execution    // of the Run in progress, or nil
	started bool          // a Run has begun since the process started
	early   time.Duration // grace of a Stop that overtook the first Run
	stopped bool          // such a Stop came
}

// NewServer returns the service for a stage.
func NewServer(stage plugins.Stage) *Server { return &Server{stage: stage} }

// Describe implements the service.
func (s *Server) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeReply, error) {
	return descriptionToProto(s.stage.Describe()), nil
}

// Check implements the service.
func (s *Server) Check(ctx context.Context, r *pb.CheckRequest) (*pb.CheckReply, error) {
	report, err := s.stage.Check(ctx, checkRequestFromProto(r))
	if err != nil {
		return &pb.CheckReply{Error: errorToProto(err)}, nil
	}
	return reportToProto(report), nil
}

// Stop implements the service.
func (s *Server) Stop(_ context.Context, r *pb.StopRequest) (*pb.StopReply, error) {
	grace := time.Duration(r.GetGraceMs()) * time.Millisecond
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.current != nil:
		s.current.stop(grace)
	case !s.started:
		s.stopped, s.early = true, grace
	}
	return &pb.StopReply{}, nil
}

// Run implements the service.
func (s *Server) Run(r *pb.RunRequest, stream pb.Stage_RunServer) error {
	x, err := s.begin(stream.Context())
	if err != nil {
		return stream.Send(&pb.RunEvent{Event: &pb.RunEvent_Error{Error: errorToProto(err)}})
	}
	defer s.end(x)
	out := &sender{stream: stream}
	beat := out.beat(interval(r.GetHeartbeatMs()))

	a := attemptFromProto(r)
	a.Stop = x.stopping
	a.Emit = func(e plugins.Event) { out.send(eventToProto(e)) }
	result, err := s.stage.Run(x.ctx, a)
	beat()

	last := resultToProto(result)
	if err != nil {
		last = &pb.RunEvent{Event: &pb.RunEvent_Error{Error: errorToProto(err)}}
	}
	return out.finish(last)
}

func (s *Server) begin(ctx context.Context) (*execution, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		return nil, plugins.Errorf(plugins.Unavailable, "the plugin is running already")
	}
	x := &execution{stopping: make(chan struct{})}
	x.ctx, x.cancel = context.WithCancel(ctx)
	s.current, s.started = x, true
	if s.stopped {
		s.stopped = false
		x.stop(s.early)
	}
	return x, nil
}

func (s *Server) end(x *execution) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = nil
	x.close()
}

// interval is how often to send a sign of life; a second when the engine did not say.
func interval(ms int64) time.Duration {
	if ms <= 0 {
		return time.Second
	}
	return time.Duration(ms) * time.Millisecond
}

// execution is one Run in progress; Server.mu guards its methods.
type execution struct {
	ctx      context.Context // of the stage; lives as long as its Run
	cancel   context.CancelFunc
	stopping chan struct{}
	grace    *time.Timer
}

// stop asks the stage to end, and cancels it when grace is over. A second call can only
// shorten the grace.
func (x *execution) stop(grace time.Duration) {
	if x.grace == nil {
		close(x.stopping)
	} else if !x.grace.Stop() {
		return
	}
	x.grace = time.AfterFunc(grace, x.cancel)
}

func (x *execution) close() {
	if x.grace != nil {
		x.grace.Stop()
	}
	x.cancel()
}

// sender serialises what goes into one stream.
type sender struct {
	mu     sync.Mutex
	stream pb.Stage_RunServer
	sent   bool // since the last beat
	done   bool
}

// send drops what cannot be sent: when the engine is gone, the stage's context ends and the
// process with it. Events after the end, of goroutines that a stage left, are dropped too.
func (s *sender) send(e *pb.RunEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || e == nil {
		return
	}
	s.sent = true
	_ = s.stream.Send(e) // an error here ends the stream's context as well
}

func (s *sender) finish(last *pb.RunEvent) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	return s.stream.Send(last)
}

// beat sends a heartbeat at once and then whenever nothing was sent for an interval. The
// function that it returns ends that and waits for it.
func (s *sender) beat(every time.Duration) func() {
	heartbeat := &pb.RunEvent{Event: &pb.RunEvent_Heartbeat{Heartbeat: &pb.Heartbeat{}}}
	s.send(heartbeat)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-quit:
				return
			case <-t.C:
				if s.quiet() {
					s.send(heartbeat)
				}
			}
		}
	})
	return func() { close(quit); wg.Wait() }
}

// quiet says whether nothing was sent since it was asked before.
func (s *sender) quiet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	quiet := !s.sent
	s.sent = false
	return quiet
}
