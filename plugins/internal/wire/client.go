package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/so8t/so8t/plugins"
	pb "github.com/so8t/so8t/plugins/proto/v1"
)

// ErrGone is in the chain of an error when the other end is not there any more: it ended,
// or the stream broke off. What happened to the process says more.
var ErrGone = errors.New("the plugin is gone")

// ErrNoResult is in the chain, with ErrGone, when the stream of Run ended in order but early.
var ErrNoResult = errors.New("it ended the run without a result")

// maxMessage bounds one message from a plugin, in bytes, and so what a hostile one can make
// us hold at a time.
const maxMessage = 4 << 20

// Client speaks with a served stage.
type Client struct {
	conn   grpc.ClientConnInterface
	stage  pb.StageClient
	health grpc_health_v1.HealthClient
}

// NewClient returns the client's end of a connection.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{conn: conn, stage: pb.NewStageClient(conn), health: grpc_health_v1.NewHealthClient(conn)}
}

var limit = grpc.MaxCallRecvMsgSize(maxMessage)

// Describe asks for the description.
func (c *Client) Describe(ctx context.Context) (plugins.Description, error) {
	r, err := c.stage.Describe(ctx, &pb.DescribeRequest{}, limit)
	if err != nil {
		return plugins.Description{}, fromStatus("describing itself", err)
	}
	return descriptionFromProto(r), nil
}

// Check asks whether the stage could run.
func (c *Client) Check(ctx context.Context, req plugins.CheckRequest) (plugins.CheckReport, error) {
	r, err := c.stage.Check(ctx, checkRequestToProto(req), limit)
	if err != nil {
		return plugins.CheckReport{}, fromStatus("checking", err)
	}
	if err := errorFromProto(r.GetError()); err != nil {
		return plugins.CheckReport{}, err
	}
	return reportFromProto(r), nil
}

// Stop asks the Run in progress to end.
func (c *Client) Stop(ctx context.Context, grace time.Duration) error {
	_, err := c.stage.Stop(ctx, &pb.StopRequest{GraceMs: grace.Milliseconds()}, limit)
	return fromStatus("stopping", err)
}

// Ping returns nil when the plugin answers a health check.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "plugin"}, limit)
	return fromStatus("giving a sign of life", err)
}

// Shutdown asks the process to end, by go-plugin's controller service. It is false when the
// plugin does not serve that and has to be killed. How the call ends otherwise says nothing:
// the connection goes with the process.
func (c *Client) Shutdown(ctx context.Context) bool {
	err := c.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
	return status.Code(err) != codes.Unimplemented
}

// Receiver takes what a Run sends, one call at a time.
type Receiver struct {
	// Alive is called for every message before it is looked at; beat says it is a heartbeat.
	Alive func(beat bool)
	// Event is called for every event.
	Event func(plugins.Event)
}

// Run lets the stage work; every is how often it should give a sign of life.
func (c *Client) Run(ctx context.Context, a *plugins.Attempt, every time.Duration, to Receiver) (plugins.Result, error) {
	req := attemptToProto(a)
	req.HeartbeatMs = every.Milliseconds()
	stream, err := c.stage.Run(ctx, req, limit)
	if err != nil {
		return plugins.Result{}, fromStatus("running", err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return plugins.Result{}, fmt.Errorf("%w: %w", ErrGone, ErrNoResult)
		}
		if err != nil {
			return plugins.Result{}, fromStatus("running", err)
		}
		switch e := m.GetEvent().(type) {
		case *pb.RunEvent_Result:
			return resultFromProto(e.Result)
		case *pb.RunEvent_Error:
			if e.Error == nil {
				e.Error = &pb.Error{}
			}
			return plugins.Result{}, errorFromProto(e.Error)
		case *pb.RunEvent_Heartbeat:
			to.Alive(true)
		default:
			to.Alive(false)
			if event := eventFromProto(m); event != nil {
				to.Event(event)
			}
		}
	}
}

// fromStatus turns an error of gRPC itself, not of the stage, into one of ours.
func fromStatus(doing string, err error) error {
	if err == nil {
		return nil
	}
	text := status.Convert(err).Message()
	switch status.Code(err) {
	case codes.Unavailable:
		return fmt.Errorf("%w while %s: %s", ErrGone, doing, text)
	case codes.Unimplemented:
		return plugins.Errorf(plugins.Unavailable, "the plugin does not speak this protocol: %s: %s", doing, text)
	case codes.Canceled:
		return plugins.Errorf(plugins.Cancelled, "the plugin was cancelled while %s", doing)
	case codes.DeadlineExceeded:
		return plugins.Errorf(plugins.Timeout, "the plugin took too long while %s", doing)
	}
	return plugins.Errorf(plugins.Internal, "the plugin broke the protocol while %s: %s", doing, text)
}
