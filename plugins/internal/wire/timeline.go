package wire

import (
	"time"

	"github.com/so8t/so8t/plugins"
	pb "github.com/so8t/so8t/plugins/proto/v1"
)

func timelineToProto(spans []plugins.Span) []*pb.Span {
	var out []*pb.Span
	for _, s := range spans {
		out = append(out, &pb.Span{
			Instance: text(s.Instance), Outcome: s.Outcome, Attempt: int64(s.Attempt), Run: s.Run,
			StartedNs: nanoseconds(s.Started), EndedNs: nanoseconds(s.Ended), CpuNs: s.CPU.Nanoseconds(),
			PeakRss: s.PeakRSS, Read: s.Read, Written: s.Written,
		})
	}
	return out
}

func timelineFromProto(spans []*pb.Span) []plugins.Span {
	var out []plugins.Span
	for _, s := range spans {
		out = append(out, plugins.Span{
			Instance: s.GetInstance(), Outcome: s.GetOutcome(), Attempt: int(s.GetAttempt()), Run: s.GetRun(),
			Started: moment(s.GetStartedNs()), Ended: moment(s.GetEndedNs()), CPU: time.Duration(s.GetCpuNs()),
			PeakRSS: s.GetPeakRss(), Read: s.GetRead(), Written: s.GetWritten(),
		})
	}
	return out
}

// nanoseconds since 1970; 0 is no time.
func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func moment(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
