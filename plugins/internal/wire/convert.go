// Package wire carries the contract of package plugins over gRPC: Go types to and from the
// generated messages, and the two ends of the service. Nothing else uses the generated types.
package wire

import (
	"math"

	"github.com/so8t/so8t/plugins"
	pb "github.com/so8t/so8t/plugins/proto/v1"
)

func descriptionToProto(d plugins.Description) *pb.DescribeReply {
	r := &pb.DescribeReply{
		Name: d.Name, Version: d.Version, Kind: string(d.Kind), Revision: int64(d.Revision), Help: text(d.Help),
		With: d.With, Checkpoints: d.Checkpoints, BuildId: d.BuildID, Timeline: d.Timeline,
	}
	for _, o := range d.Outputs {
		r.Outputs = append(r.Outputs, &pb.Output{
			Name: o.Name, Path: o.Path, MediaType: o.MediaType, Help: o.Help, Optional: o.Optional, Volatile: o.Volatile,
		})
	}
	for _, m := range d.Metrics {
		r.Metrics = append(r.Metrics, &pb.MetricSpec{Name: m.Name, Help: m.Help, Better: m.Better})
	}
	return r
}

func descriptionFromProto(r *pb.DescribeReply) plugins.Description {
	d := plugins.Description{
		Name: r.GetName(), Version: r.GetVersion(), Kind: plugins.Kind(r.GetKind()), Revision: int(r.GetRevision()),
		Help: r.GetHelp(), With: r.GetWith(), Checkpoints: r.GetCheckpoints(), BuildID: r.GetBuildId(), Timeline: r.GetTimeline(),
	}
	for _, o := range r.GetOutputs() {
		d.Outputs = append(d.Outputs, plugins.Output{
			Name: o.GetName(), Path: o.GetPath(), MediaType: o.GetMediaType(), Help: o.GetHelp(),
			Optional: o.GetOptional(), Volatile: o.GetVolatile(),
		})
	}
	for _, m := range r.GetMetrics() {
		d.Metrics = append(d.Metrics, plugins.MetricSpec{Name: m.GetName(), Help: m.GetHelp(), Better: m.GetBetter()})
	}
	return d
}

func checkRequestToProto(c plugins.CheckRequest) *pb.CheckRequest {
	return &pb.CheckRequest{With: c.With, Pending: c.Pending, ProjectDir: c.ProjectDir}
}

func checkRequestFromProto(r *pb.CheckRequest) plugins.CheckRequest {
	return plugins.CheckRequest{With: r.GetWith(), Pending: r.GetPending(), ProjectDir: r.GetProjectDir()}
}

func reportToProto(c plugins.CheckReport) *pb.CheckReply {
	r := &pb.CheckReply{
		Needs: &pb.Needs{Memory: c.Needs.Memory, Disk: c.Needs.Disk, Gpu: int64(c.Needs.GPU)},
		Facts: c.Facts,
	}
	for _, p := range c.Problems {
		r.Problems = append(r.Problems, &pb.Problem{Field: text(p.Field), Code: string(p.Code), Message: text(p.Message), Hint: text(p.Hint)})
	}
	return r
}

func reportFromProto(r *pb.CheckReply) plugins.CheckReport {
	n := r.GetNeeds()
	c := plugins.CheckReport{
		Needs: plugins.Needs{Memory: n.GetMemory(), Disk: n.GetDisk(), GPU: int(n.GetGpu())},
		Facts: r.GetFacts(),
	}
	for _, p := range r.GetProblems() {
		c.Problems = append(c.Problems, plugins.Problem{
			Field: p.GetField(), Code: knownCode(p.GetCode(), plugins.BadInput), Message: p.GetMessage(), Hint: p.GetHint(),
		})
	}
	return c
}

func attemptToProto(a *plugins.Attempt) *pb.RunRequest {
	return &pb.RunRequest{
		Stage: a.Stage, Run: a.Run, Attempt: int64(a.Number), With: a.With, Facts: a.Facts, Secrets: a.Secrets,
		ProjectDir: a.ProjectDir, OutputDir: a.OutputDir, ScratchDir: a.ScratchDir, CheckpointDir: a.CheckpointDir,
		Resume: checkpointToProto(a.Resume), Timeline: timelineToProto(a.Timeline),
	}
}

func attemptFromProto(r *pb.RunRequest) *plugins.Attempt {
	return &plugins.Attempt{
		Stage: r.GetStage(), Run: r.GetRun(), Number: int(r.GetAttempt()), With: r.GetWith(), Facts: r.GetFacts(),
		Secrets: r.GetSecrets(), ProjectDir: r.GetProjectDir(), OutputDir: r.GetOutputDir(),
		ScratchDir: r.GetScratchDir(), CheckpointDir: r.GetCheckpointDir(), Resume: checkpointFromProto(r.GetResume()),
		Timeline: timelineFromProto(r.GetTimeline()),
	}
}

func checkpointToProto(c *plugins.Checkpoint) *pb.Checkpoint {
	if c == nil {
		return nil
	}
	return &pb.Checkpoint{Step: c.Step, Path: c.Path, Run: c.Run, Attempt: int64(c.Attempt)}
}

func checkpointFromProto(c *pb.Checkpoint) *plugins.Checkpoint {
	if c == nil {
		return nil
	}
	return &plugins.Checkpoint{Step: c.GetStep(), Path: c.GetPath(), Run: c.GetRun(), Attempt: int(c.GetAttempt())}
}

// finite says whether JSON could carry the number.
func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
