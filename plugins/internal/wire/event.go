package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/so8t/so8t/plugins"
	pb "github.com/so8t/so8t/plugins/proto/v1"
)

// eventToProto is nil for an event that is not of the contract.
func eventToProto(e plugins.Event) *pb.RunEvent {
	switch e := e.(type) {
	case plugins.Progress:
		return &pb.RunEvent{Event: &pb.RunEvent_Progress{Progress: &pb.Progress{
			Done: e.Done, Total: e.Total, Unit: text(e.Unit), Message: text(e.Message),
		}}}
	case plugins.Metric:
		return &pb.RunEvent{Event: &pb.RunEvent_Metric{Metric: &pb.Metric{Name: text(e.Name), Value: e.Value, Step: e.Step}}}
	case plugins.LogLine:
		return &pb.RunEvent{Event: &pb.RunEvent_Log{Log: &pb.LogLine{Level: text(e.Level), Message: text(e.Message)}}}
	case plugins.Saved:
		return &pb.RunEvent{Event: &pb.RunEvent_Checkpoint{Checkpoint: checkpointToProto(&e.Checkpoint)}}
	case plugins.Warning:
		return &pb.RunEvent{Event: &pb.RunEvent_Warning{Warning: &pb.Warning{Message: text(e.Message)}}}
	}
	return nil
}

// eventFromProto is nil for what is no event of the contract: heartbeats, ends, and kinds of
// a later version. A metric that is no number becomes a warning.
func eventFromProto(r *pb.RunEvent) plugins.Event {
	switch e := r.GetEvent().(type) {
	case *pb.RunEvent_Progress:
		p := e.Progress
		return plugins.Progress{Done: p.GetDone(), Total: p.GetTotal(), Unit: p.GetUnit(), Message: p.GetMessage()}
	case *pb.RunEvent_Metric:
		m := e.Metric
		if !finite(m.GetValue()) {
			return plugins.Warning{Message: fmt.Sprintf("metric %s is %v at step %d", m.GetName(), m.GetValue(), m.GetStep())}
		}
		return plugins.Metric{Name: m.GetName(), Value: m.GetValue(), Step: m.GetStep()}
	case *pb.RunEvent_Log:
		return plugins.LogLine{Level: e.Log.GetLevel(), Message: e.Log.GetMessage()}
	case *pb.RunEvent_Checkpoint:
		if e.Checkpoint == nil {
			return nil
		}
		return plugins.Saved{Checkpoint: *checkpointFromProto(e.Checkpoint)}
	case *pb.RunEvent_Warning:
		return plugins.Warning{Message: e.Warning.GetMessage()}
	}
	return nil
}

func resultToProto(r plugins.Result) *pb.RunEvent {
	return &pb.RunEvent{Event: &pb.RunEvent_Result{Result: &pb.Result{Skipped: text(r.Skipped), Metrics: r.Metrics}}}
}

func resultFromProto(r *pb.Result) (plugins.Result, error) {
	for _, name := range slices.Sorted(maps.Keys(r.GetMetrics())) {
		if x := r.GetMetrics()[name]; !finite(x) {
			return plugins.Result{}, plugins.Errorf(plugins.Internal, "metric %q is %v: a result holds finite numbers only", name, x)
		}
	}
	return plugins.Result{Skipped: r.GetSkipped(), Metrics: r.GetMetrics()}, nil
}

// errorToProto keeps the class, the text and the detail; what caused it stays behind.
func errorToProto(err error) *pb.Error {
	if err == nil {
		return nil
	}
	out := &pb.Error{Code: string(plugins.CodeOf(err)), Message: text(err.Error())}
	var e *plugins.Error
	if errors.As(err, &e) {
		out.Detail = text(e.Detail)
		if len(e.RetryWith) > 0 {
			// What JSON cannot hold proposes nothing.
			out.RetryWith, _ = json.Marshal(e.RetryWith)
		}
	}
	return out
}

func errorFromProto(e *pb.Error) error {
	if e == nil {
		return nil
	}
	message := e.GetMessage()
	if message == "" {
		message = "the plugin gave no reason"
	}
	out := &plugins.Error{Code: knownCode(e.GetCode(), plugins.Internal), Message: message, Detail: e.GetDetail()}
	if text := e.GetRetryWith(); len(text) > 0 {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if d.Decode(&out.RetryWith) != nil {
			out.RetryWith = nil
		}
	}
	return out
}

// knownCode maps a code that a later version may have to one we know.
func knownCode(code string, unknown plugins.Code) plugins.Code {
	if slices.Contains(plugins.Codes, plugins.Code(code)) {
		return plugins.Code(code)
	}
	return unknown
}

// maxText bounds one text on the wire, in bytes: far below gRPC's limit for a message.
const maxText = 64 << 10

// text makes a string that protobuf accepts: valid UTF-8, of bounded length.
func text(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + " …"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
