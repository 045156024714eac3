// Package compute opens what a stage computes on, by the name that its `backend` parameter gives,
// and says as facts what of it can change the bits of a result.
package compute

import (
	"fmt"
	"os"
	"strconv"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
)

// Open opens auto, cpu or cuda. SO8T_BACKEND decides when it is auto; threads 0 is one a core.
func Open(name string, threads int) (backend.Backend, error) { return OpenWithin(name, threads, 0) }

// OpenWithin is Open with a limit for what buffers take, in bytes; 0 is none.
func OpenWithin(name string, threads int, limit int64) (backend.Backend, error) {
	if name == "" || name == "auto" {
		name = os.Getenv("SO8T_BACKEND")
	}
	switch name {
	case "", "auto", "cpu":
		return cpu.Open(cpu.Options{Threads: threads, Limit: limit})
	case "cuda":
		return nil, plugins.Errorf(plugins.Unavailable, "backend cuda: this version computes on the CPU only; use backend: cpu")
	}
	return nil, plugins.Errorf(plugins.BadInput, "backend %q: want auto, cpu or cuda", name)
}

// OpenDry opens a backend that only counts what a plan would take.
func OpenDry() backend.Backend { return cpu.OpenDry() }

// Facts are a backend's facts: with any of them changed, the bits may differ.
func Facts(i backend.Info) map[string]string {
	return map[string]string{
		"backend": i.Name, "device": i.Device, "blas": i.BLAS, "blas_version": i.Version,
		"threads": strconv.Itoa(i.Threads), "bits": fmt.Sprint(i.Bits),
	}
}

// Check is the part of a stage's Check about its backend: the facts of it, or why it cannot be had.
func Check(report *plugins.CheckReport, name string, threads int) {
	be, err := Open(name, threads)
	if err != nil {
		report.Problems = append(report.Problems, plugins.InputProblem("backend", err))
		return
	}
	report.Facts = Facts(be.Info())
	_ = be.Close() // it held nothing yet
}
