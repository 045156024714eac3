// Package compute opens what a stage computes on, by the name that its `backend` parameter gives,
// and says as facts what of it can change the bits of a result.
package compute

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
	"github.com/so8t/so8t/stages/internal/backend/cuda"
)

// envPrecision, when it is float32, makes the cuda backend compute in float32 throughout.
const envPrecision = "SO8T_CUDA_PRECISION"

// Options says what to compute on, and within which memory.
type Options struct {
	// Name is auto, cpu or cuda. SO8T_BACKEND decides when it is auto.
	Name string
	// Threads of the CPU; 0 is one a core.
	Threads int
	// Limit is for what the backend's memory takes, in bytes; 0 is none. On a GPU it counts the frozen weights too.
	Limit int64
	// Reserve is what of a GPU's memory is taken at once, in bytes: the plan.
	Reserve int64
}

// Open opens auto, cpu or cuda.
func Open(name string, threads int) (backend.Backend, error) {
	return OpenWith(Options{Name: name, Threads: threads})
}

// OpenWith opens what o says. What was asked for by name is never replaced by something else.
func OpenWith(o Options) (backend.Backend, error) {
	switch name, _ := choose(o.Name); name {
	case "cpu":
		return cpu.Open(cpu.Options{Threads: o.Threads, Limit: o.Limit})
	case "cuda":
		reserve := o.Reserve
		if o.Limit > 0 {
			reserve = min(reserve, o.Limit) // a plan that does not fit is met by the ladder, in smaller steps
		}
		be, err := cuda.Open(cuda.Options{Precision: precision(), Limit: o.Limit, Reserve: reserve})
		if errors.Is(err, backend.ErrOutOfMemory) {
			return nil, plugins.Errorf(plugins.OutOfMemory, "backend cuda: %w", err)
		}
		if err != nil {
			return nil, plugins.Errorf(plugins.Unavailable, "backend cuda: %w; backend: cpu computes on the CPU", err)
		}
		return be, nil
	default:
		return nil, plugins.Errorf(plugins.BadInput, "backend %q: want auto, cpu or cuda", name)
	}
}

func precision() cuda.Precision {
	if os.Getenv(envPrecision) == "float32" {
		return cuda.Single
	}
	return cuda.Mixed
}

// choose is what a name stands for, and why when it is not what it says. A plan must know the backend before a card is leased for the
// stage, and whoever asks for a card by name gets one; so auto is the CPU.
func choose(name string) (backend, why string) {
	if name != "" && name != "auto" {
		return name, ""
	}
	if env := os.Getenv("SO8T_BACKEND"); env != "" && env != "auto" {
		return env, "auto: SO8T_BACKEND says so"
	}
	return "cpu", "auto: a GPU is used when it is asked for, by backend: cuda or SO8T_BACKEND=cuda"
}

// OnGPU reports whether a name stands for a GPU.
func OnGPU(name string) bool {
	name, _ = choose(name)
	return name == "cuda"
}

// OpenDry opens a backend that only counts what a plan would take on the backend of this name.
func OpenDry(name string) backend.Backend {
	if OnGPU(name) {
		return cuda.OpenDry(precision())
	}
	return cpu.OpenDry()
}

// Describe says in a line what name chose, and why.
func Describe(name string, i backend.Info) string {
	line := fmt.Sprintf("backend %s %s, %d threads, blas %s", i.Name, i.Device, i.Threads, i.BLAS)
	if i.Name == "cuda" {
		line = fmt.Sprintf("backend %s, %s, %s", i.Name, i.Device, i.Version)
	}
	if _, why := choose(name); why != "" {
		line += " (" + why + ")"
	}
	return line
}

// Facts are a backend's facts: with any of them changed, the bits may differ.
func Facts(i backend.Info) map[string]string {
	return map[string]string{
		"backend": i.Name, "device": i.Device, "blas": i.BLAS, "blas_version": i.Version,
		"threads": strconv.Itoa(i.Threads), "bits": fmt.Sprint(i.Bits),
	}
}

// Check is the part of a stage's Check about its backend: the facts of it and the GPU that it takes, or why it cannot be had.
func Check(report *plugins.CheckReport, name string, threads int) {
	if OnGPU(name) {
		report.Needs.GPU = 1
	}
	be, err := Open(name, threads)
	if err != nil {
		report.Problems = append(report.Problems, plugins.InputProblem("backend", err))
		return
	}
	report.Facts = Facts(be.Info())
	_ = be.Close() // it held nothing yet
}
