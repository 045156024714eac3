package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/so8t/so8t/engine"
	"github.com/so8t/so8t/engine/internal/console"
)

// Probe looks for one thing a stage can use: a library, a device, a server. OK is false when
// it is not there; the message then says what to do, or what happens without it.
type Probe struct {
	Name string
	Run  func(ctx context.Context) (ok bool, message string)
}

type probeView struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "doctor",
		Short:   "what this machine has for the stages: found, or what to do",
		Example: "  so8t doctor\n  so8t doctor --json | jq .cuda.message",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			project, err := a.projectDir()
			if err != nil {
				return err
			}
			probes := append([]Probe{}, a.Probes...)
			probes = append(probes, diskProbe(project), memoryProbe())
			views := map[string]probeView{}
			t := console.NewTable("WHAT", "FOUND", "")
			for _, p := range probes {
				ok, message := p.Run(c.Context())
				views[p.Name] = probeView{ok, message}
				t.Row(p.Name, map[bool]string{true: "yes", false: "no"}[ok], message)
			}
			if asJSON {
				return a.printJSON(views)
			}
			t.Write(a.Out, a.style(a.Out))
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "JSON on stdout")
	return c
}

// Below these a quickstart may not fit.
const (
	diskWanted   = 1 << 30
	memoryWanted = 1 << 30
)

func diskProbe(dir string) Probe {
	return Probe{Name: "disk", Run: func(context.Context) (bool, string) {
		free := engine.FreeDisk(dir)
		if free > 0 && free < diskWanted {
			return false, fmt.Sprintf("%s free in %s: the quickstart wants %s; free some, or give SO8T_STATE a folder on another disk", console.Bytes(free), dir, console.Bytes(diskWanted))
		}
		return true, fmt.Sprintf("%s free in %s", sizeOrUnknown(free), dir)
	}}
}

func memoryProbe() Probe {
	return Probe{Name: "memory", Run: func(context.Context) (bool, string) {
		free := engine.FreeMemory()
		if free > 0 && free < memoryWanted {
			return false, fmt.Sprintf("%s available: the quickstart wants %s", console.Bytes(free), console.Bytes(memoryWanted))
		}
		return true, sizeOrUnknown(free) + " available"
	}}
}

func sizeOrUnknown(n int64) string {
	if n == 0 {
		return "an unknown amount"
	}
	return console.Bytes(n)
}
