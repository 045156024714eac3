package cli_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestTrain_DamagedNewestCheckpointFallsBack: a training whose newest checkpoint does not verify
// any more goes on from the one before, says so, and ends with the same bytes.
func TestTrain_DamagedNewestCheckpointFallsBack(t *testing.T) {
	t.Parallel()
	args := trainArgs(t, 600, "20ms")
	p := newProject(t, training)
	b := p.start(args...)
	for range 3 {
		b.await("checkpoint")
	}
	b.signal(syscall.SIGKILL)
	b.wait()
	p.noProcessLeft()
	const newest = "runs/*/stages/train/1/checkpoints/step-*/state.safetensors"
	damaged := filepath.Base(filepath.Dir(p.one(newest)))
	p.change(newest, func(b []byte) []byte { b[len(b)-9] ^= 1; return b })

	code, _, said := p.run(nil, args...)
	if code != 0 || !strings.Contains(said, "is passed over") {
		t.Errorf("exit %d; it should say that the newest is passed over: %s", code, said)
	}
	from := p.status().Stages[0].Attempts[0].ResumedFrom
	if from == nil || from.Step < 1 || fmt.Sprintf("step-%012d", from.Step) >= damaged {
		t.Errorf("resumed from %+v though %s is damaged", from, damaged)
	}
	whole := newProject(t, training)
	whole.want(0, trainArgs(t, 600, "1h")...)
	p.wantTrained(whole.trained())
}
