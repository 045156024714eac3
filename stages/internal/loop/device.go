package loop

import (
	"fmt"
	"os"
	"strconv"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/backend"
	"github.com/so8t/so8t/stages/internal/backend/cpu"
)

// OpenBackend opens what a stage's `backend` names: auto, cpu or cuda. SO8T_BACKEND decides
// when it is auto.
func OpenBackend(name string, threads int) (backend.Backend, error) {
	if name == "" || name == "auto" {
		name = os.Getenv("SO8T_BACKEND")
	}
	switch name {
	case "", "auto", "cpu":
		return cpu.Open(cpu.Options{Threads: threads})
	case "cuda":
		return nil, plugins.Errorf(plugins.Unavailable, "backend cuda: this version trains on the CPU only; use backend: cpu")
	}
	return nil, plugins.Errorf(plugins.BadInput, "backend %q: want auto, cpu or cuda", name)
}

// FactsOf are a backend's facts: with any of them changed, the bits may differ.
func FactsOf(i backend.Info) Facts {
	return Facts{
		"backend": i.Name, "device": i.Device, "blas": i.BLAS, "blas_version": i.Version,
		"threads": strconv.Itoa(i.Threads), "bits": fmt.Sprint(i.Bits),
	}
}
