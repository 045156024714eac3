package cli_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// training is a fine-tuning of some thousand parameters. How often it checkpoints changes no byte.
const training = `
version: 1
name: training
params:
  model: { type: path }
  rows: { type: path }
  steps: { type: int }
  every: { type: duration, default: 1ms }
stages:
  train:
    uses: train
    with:
      { base: "${params.model}", dataset: "${params.rows}", validation: "${params.rows}", length: 128, batch: 2, accumulation: 1, steps: "${params.steps}",
        threads: 1, lora: { r: 2, alpha: 4, dropout: 0.1 }, eval: { every: 3 }, checkpoint: { every: "${params.every}", keep: 2 } }
`

func trainArgs(t *testing.T, steps int, every string) []string {
	return []string{"run", "--param", "model=" + fixtures(t) + "/phi3", "--param", "rows=" + fixtures(t) + "/rows.jsonl",
		"--param", "steps=" + strconv.Itoa(steps), "--param", "every=" + every}
}

// trained is what training must leave, the same after every crash: the digest of the adapter
// folder and the bytes of the curve.
type trained struct {
	adapter string
	curve   []byte
}

func (p project) trained() trained {
	p.t.Helper()
	s := p.status()
	if s.State != "succeeded" || len(s.Stages) != 1 {
		p.t.Fatalf("training: %+v", s)
	}
	return trained{s.Stages[0].Outputs["adapter"].SHA256, p.output(s.Stages[0], "curve")}
}

func (p project) wantTrained(want trained) {
	p.t.Helper()
	got := p.trained()
	if got.adapter != want.adapter || want.adapter == "" {
		p.t.Errorf("the adapter's digest is %s, uninterrupted %s", got.adapter, want.adapter)
	}
	if !bytes.Equal(got.curve, want.curve) {
		p.t.Errorf("the curve differs from the uninterrupted one; got\n%s\nwant\n%s", got.curve, want.curve)
	}
}

// TestTrain_KilledBeforeEveryDurableStep kills the train stage's process before its k-th sync or
// rename, for every k, and runs the same command again: the same bytes come out.
func TestTrain_KilledBeforeEveryDurableStep(t *testing.T) {
	t.Parallel()
	args := trainArgs(t, 4, "1ms")
	whole := newProject(t, training)
	whole.want(0, args...)
	want := whole.trained()
	const limit = 500
	resumed := 0
	for k := 1; ; k++ {
		p := newProject(t, training)
		code, _, errs := p.run([]string{fmt.Sprintf("SO8T_CRASH_STAGE=train:%d", k)}, args...)
		if code == 0 {
			p.wantTrained(want)
			t.Logf("%d durable steps; %d times it went on from a checkpoint", k-1, resumed)
			if k < 20 || resumed < 5 {
				t.Errorf("that is too few")
			}
			return
		}
		if code != 1 || !strings.Contains(errs, "(crashed)") || k == limit {
			t.Fatalf("step %d: exit %d: %s", k, code, errs)
		}
		p.noProcessLeft()
		p.want(0, args...)
		p.wantTrained(want)
		if s := p.status(); s.Stages[0].Attempts[0].ResumedFrom != nil {
			resumed++
		}
		p.want(0, "check")
		if t.Failed() {
			t.Fatalf("killed before step %d", k)
		}
	}
}

// TestRun_EngineKilled: kill -9 from outside. status knows at once, nothing is left running, and
// the same command goes on from the checkpoint to the same bytes.
func TestRun_EngineKilled(t *testing.T) {
	t.Parallel()
	args := trainArgs(t, 600, "20ms")
	p := newProject(t, training)
	b := p.start(args...)
	b.await("checkpoint")
	if s := p.status(); s.State != "running" || !s.Engine.Alive || s.Engine.PID != b.cmd.Process.Pid {
		t.Errorf("while it runs: %s, engine %+v", s.State, s.Engine)
	}
	b.signal(syscall.SIGKILL)
	b.wait()
	s := p.status()
	if s.State != "interrupted" || s.Engine.Alive || s.Stages[0].Outcome != "interrupted" || s.Stages[0].Attempts[0].Outcome != "interrupted" {
		t.Errorf("right after the kill: %+v", s)
	}
	p.noProcessLeft()
	p.want(0, "check")
	p.want(0, args...)
	again := p.status()
	from := again.Stages[0].Attempts[0].ResumedFrom
	if again.Run == s.Run || from == nil || from.Run != s.Run || from.Step < 1 {
		t.Errorf("the same command again: run %s, resumed from %+v", again.Run, from)
	}
	p.noProcessLeft()

	whole := newProject(t, training)
	whole.want(0, args...)
	p.wantTrained(whole.trained())
}

// TestRun_Signals: the stage checkpoints though its next checkpoint is an hour away, the exit code
// names the signal, and resume goes on under the same id.
func TestRun_Signals(t *testing.T) {
	for s, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGHUP: 129, syscall.SIGTERM: 143} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			p := newProject(t, training)
			b := p.start(trainArgs(t, 600, "1h")...)
			b.await("metric")
			b.signal(s)
			if got := b.wait(); got != code {
				t.Fatalf("exit %d, want %d: %s", got, code, &b.errs)
			}
			v := p.status()
			if v.State != "interrupted" || v.Stages[0].Outcome != "interrupted" || v.Stages[0].Attempts[0].Checkpoint == nil {
				t.Fatalf("%+v", v)
			}
			step := v.Stages[0].Attempts[0].Checkpoint.Step
			if progress := v.Stages[0].Attempts[0].Progress; progress == nil || progress.Done < 1 || progress.Total != 600 {
				t.Errorf("it came as far as %+v", progress)
			}
			p.noProcessLeft()
			p.want(0, "resume")
			v = p.status()
			if v.Run != b.run || v.State != "succeeded" || len(v.Stages[0].Attempts) != 2 {
				t.Fatalf("resumed %s: %+v", b.run, v)
			}
			if from := v.Stages[0].Attempts[1].ResumedFrom; from == nil || from.Step != step || step < 1 {
				t.Errorf("resumed from %+v, the checkpoint was at step %d", from, step)
			}
			p.want(2, "resume")
			p.want(0, "check")
		})
	}
}

// slow has a stage that is at work until it is told otherwise.
const slow = `
version: 1
name: slow
params: { duration: { type: duration, default: 1h } }
stages:
  a: { uses: noop, with: { seed: 1, steps: 1000, duration: "${params.duration}", checkpoint_every: 1000, trace: trace } }
  b: { uses: noop, with: { seed: 2, trace: trace, inputs: ["${stages.a.outputs.out}"] } }
`

func TestResume_SecondEngineIsRefused(t *testing.T) {
	t.Parallel()
	p := newProject(t, slow)
	b := p.start("run")
	b.await("stage_started")
	code, _, errs := p.run(nil, "resume", b.run)
	if code != 3 || !strings.Contains(errs, fmt.Sprintf("pid %d", b.cmd.Process.Pid)) {
		t.Errorf("exit %d: %s", code, errs)
	}
	b.signal(syscall.SIGINT)
	if code := b.wait(); code != 130 {
		t.Errorf("the first ended with %d after that: %s", code, &b.errs)
	}
}

func TestRun_SecondRunOfTheSameWorkWaits(t *testing.T) {
	t.Parallel()
	p := newProject(t, slow)
	first := p.start("run", "--param", "duration=1s")
	first.await("stage_started")
	second := p.start("run")
	second.await("warning")
	if code := first.wait(); code != 0 {
		t.Errorf("first: exit %d: %s", code, &first.errs)
	}
	if code := second.wait(); code != 0 {
		t.Errorf("second: exit %d: %s", code, &second.errs)
	}
	if s := p.status(second.run); s.Stages[0].Outcome != "cached" || s.Stages[0].FromRun != first.run {
		t.Errorf("second: %+v", s)
	}
}

// TestRun_Suspended: Ctrl-Z stops the engine between two transactions, so that others can look;
// CONT lets it go on, INT then ends it as ever.
func TestRun_Suspended(t *testing.T) {
	t.Parallel()
	p := newProject(t, strings.Replace(slow, "steps: 1000", "steps: 20000", 1))
	b := p.start("run")
	b.await("progress")
	b.signal(syscall.SIGTSTP)
	if !eventually(func() bool { return stopped(b.cmd.Process.Pid) }) {
		t.Fatal("it does not stop")
	}
	if s := p.status(); s.State != "running" || s.Stages[0].Outcome != "running" {
		t.Errorf("while it is stopped: %+v", s)
	}
	b.signal(syscall.SIGCONT)
	b.await("progress")
	b.signal(syscall.SIGINT)
	if code := b.wait(); code != 130 {
		t.Errorf("exit %d: %s", code, &b.errs)
	}
}

// TestRun_ReaderGoesAway: the run goes on without who reads its events, or its words.
func TestRun_ReaderGoesAway(t *testing.T) {
	for _, args := range [][]string{{"run", "--json"}, {"run"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			p := newProject(t, strings.Replace(slow, "1h", "300ms", 1))
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := p.command(nil, args...)
			cmd.Stdout, cmd.Stderr = write, write
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if !bufio.NewScanner(read).Scan() {
				t.Error("no line came")
			}
			if err := errors.Join(read.Close(), write.Close()); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("the run: %v", err)
			}
			if s := p.status(); s.State != "succeeded" {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestRun_ReadersAtAnyTime: who looks at a run all the time never makes it fail, and always gets
// an answer.
func TestRun_ReadersAtAnyTime(t *testing.T) {
	t.Parallel()
	var chain strings.Builder
	chain.WriteString("version: 1\nname: chain\nstages:\n")
	for i := range 8 {
		fmt.Fprintf(&chain, "  s%d: { uses: noop, with: { seed: %d, steps: 4, checkpoint_every: 1 }", i, i)
		if i > 0 {
			fmt.Fprintf(&chain, ", needs: [s%d]", i-1)
		}
		chain.WriteString(" }\n")
	}
	p := newProject(t, chain.String())
	b := p.start("run")
	b.await("run_started")
	ended := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for looks := 0; ; looks++ {
				select {
				case <-ended:
					if looks == 0 {
						t.Error("a reader had no look")
					}
					return
				default:
				}
				if code, _, errs := p.run(nil, "status", "--json"); code != 0 {
					t.Errorf("a reader: exit %d: %s", code, errs)
				}
			}
		})
	}
	code := b.wait()
	close(ended)
	readers.Wait()
	if code != 0 {
		t.Errorf("the run: exit %d: %s", code, &b.errs)
	}
}

// TestResume_OfAForcedStage: --force ignores the checkpoints of other runs, not those that the
// forced attempt made itself before it was interrupted.
func TestResume_OfAForcedStage(t *testing.T) {
	t.Parallel()
	often := strings.Replace(slow, "checkpoint_every: 1000", "checkpoint_every: 5", 1)
	quick := strings.Replace(often, "1h", "0s", 1) // a duration is in no fingerprint: no change
	p := newProject(t, quick)
	p.want(0, "run")
	p.write("so8t.yaml", strings.Replace(often, "1h", "1m", 1))
	b := p.start("run", "--force-all")
	b.await("checkpoint")
	b.signal(syscall.SIGKILL)
	b.wait()
	step := p.status().Stages[0].Attempts[0].Checkpoint.Step
	p.write("so8t.yaml", quick)
	p.want(0, "resume")
	attempts := p.status().Stages[0].Attempts
	if len(attempts) != 2 || attempts[1].ResumedFrom == nil || attempts[1].ResumedFrom.Step < step {
		t.Errorf("attempts %+v; the first left a checkpoint at step %d", attempts, step)
	}
}

// TestRun_InterruptedWhilePlanning: a plugin that hangs before there is a run does not keep Ctrl-C
// from ending the command.
func TestRun_InterruptedWhilePlanning(t *testing.T) {
	t.Parallel()
	p := newProject(t, "version: 1\nname: w\nstages:\n  a: { uses: ./hang.sh }\n")
	here := filepath.Join(p.dir, "here")
	p.write("hang.sh", "#!/bin/sh\ntouch '"+here+"'\nexec sleep 600\n")
	if err := os.Chmod(filepath.Join(p.dir, "hang.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := p.start("run")
	if !eventually(func() bool { _, err := os.Stat(here); return err == nil }) {
		t.Fatal("the plugin was not started")
	}
	b.signal(syscall.SIGINT)
	if code := b.wait(); code != 130 || !strings.Contains(b.errs.String(), "before anything had started") {
		t.Errorf("exit %d: %s", code, &b.errs)
	}
	p.noProcessLeft()
}

// serving is a project whose ollama stage starts a server of its own: a script that never answers,
// with a runner beside it, as the real one has. It returns the run, once the server is there.
func serving(t *testing.T) (project, *background) {
	t.Helper()
	p := newProject(t, `
version: 1
name: served
params: { model: { type: path } }
stages:
  gguf: { uses: gguf, with: { model: "${params.model}", type: F16 } }
  ollama: { uses: ollama, with: { gguf: "${stages.gguf.outputs.model}" } }
`)
	here, bin := filepath.Join(p.dir, "here"), filepath.Join(p.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = serve ] || { echo ollama version is 0.17.4; exit 0; }\ncd '%s'\nsleep 601 &\necho $PPID > stage\ntouch '%s'\nexec sleep 600\n", p.dir, here)
	if err := os.WriteFile(filepath.Join(bin, "ollama"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	b := p.start("run", "--param", "model="+filepath.Join(fixtures(t), "phi3"))
	if !eventually(func() bool { _, err := os.Stat(here); return err == nil }) {
		t.Fatal("the server was not started")
	}
	if len(p.processes()) < 4 {
		t.Errorf("the engine, the stage, the server and its runner make %v", p.processes())
	}
	return p, b
}

// TestRun_EngineKilled_ServerOfAStageGoesToo: nothing of the server is left when the engine is killed.
func TestRun_EngineKilled_ServerOfAStageGoesToo(t *testing.T) {
	p, b := serving(t)
	b.signal(syscall.SIGKILL)
	b.wait()
	p.noProcessLeft()
	if s := p.status(); s.State != "interrupted" {
		t.Errorf("status says %s", s.State)
	}
}

// TestRun_StageKilled_ItsServerGoesToo: nor when only the stage is.
func TestRun_StageKilled_ItsServerGoesToo(t *testing.T) {
	p, b := serving(t)
	text, err := os.ReadFile(filepath.Join(p.dir, "stage"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatalf("killing the stage: %v", err)
	}
	if code := b.wait(); code != 1 {
		t.Errorf("exit %d: %s", code, &b.errs)
	}
	p.noProcessLeft()
}
