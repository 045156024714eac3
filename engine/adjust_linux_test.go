package engine_test

import (
	"context"
	"strings"
	"testing"

	"github.com/so8t/so8t/engine"
)

// TestAdjust_HoldsNoDeviceWhileItWaits: another engine works on what is proposed and waits for the
// device of the stage that proposes it.
func TestAdjust_HoldsNoDeviceWhileItWaits(t *testing.T) {
	ownDevices(t, "0")
	dir := project(t, `
version: 1
name: adjusting
params: { seed: 1, fails: 1 }
stages:
  a:
    uses: noop
    resources: { gpu: 1 }
    retry: { max: 1, backoff: 1ms }
    with: { seed: "${params.seed}", fail_times: "${params.fails}", code: out_of_memory, retry_with: { seed: 2 } }
`)
	waits := make(chan struct{}, 1)
	other := open(t, dir, func(o *engine.Options) {
		o.Listener = func(e engine.Event) {
			if e.Kind == engine.Warned && strings.Contains(e.Message, "waits for a GPU") {
				waits <- struct{}{}
			}
		}
	})
	theirs := other.plan(engine.Selection{}, map[string]string{"seed": "2", "fails": "0"})
	over := make(chan error, 1)
	h := open(t, dir, func(o *engine.Options) {
		o.Listener = func(e engine.Event) {
			if e.Kind == engine.StageEnded && e.Retry > 0 {
				go func() {
					_, err := other.Run(context.WithoutCancel(t.Context()), theirs, engine.RunOptions{})
					over <- err
				}()
				<-waits
			}
		}
	})
	v := h.run(engine.Selection{}, nil)
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	if v.State != "succeeded" {
		t.Errorf("%s: %+v", v.State, v.Stages)
	}
}
