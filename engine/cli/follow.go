package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/so8t/so8t/engine"
)

// followEvery is how often `logs --follow` looks for more.
const followEvery = 200 * time.Millisecond

// follower shows the logs of a run's stages while they are written, attempt after attempt.
type follower struct {
	a     *app
	e     *engine.Engine
	flags logFlags
	stage string           // "" is all
	tails map[string]*tail // by instance
	// named says whether lines begin with their stage's name.
	named bool
	out   io.Writer
}

// tail is the log of one instance that is shown at the moment.
type tail struct {
	attempt int // 0 = none yet
	file    *os.File
	rest    []byte // of a line that has not ended
}

// follow shows what the stages have printed and what they print, until they have ended, or the run
// has. A stage that waits is waited for.
func (a *app) follow(ctx context.Context, e *engine.Engine, f logFlags, stage string) error {
	w := &follower{a: a, e: e, flags: f, stage: stage, tails: map[string]*tail{}, out: a.logOut()}
	defer w.close()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		view, err := e.Status(ctx, f.run)
		if err != nil {
			return err
		}
		// What was printed before a stage ended was written before its end was recorded: this
		// look still finds it.
		over, err := w.look(ctx, view)
		if err != nil || over || view.State != "running" {
			w.flush()
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// look copies what is new. Over says that nothing more will come.
func (w *follower) look(ctx context.Context, view *engine.StatusView) (over bool, err error) {
	var stages []engine.StageView
	for _, s := range view.Stages {
		if w.stage == "" || s.Instance == w.stage || s.Stage == w.stage {
			stages = append(stages, s)
		}
	}
	if len(stages) == 0 {
		return true, fmt.Errorf("%w %q in run %s", engine.ErrNoStage, w.stage, view.Run)
	}
	w.named = len(stages) > 1
	over = true
	for _, s := range stages {
		if s.Outcome == "running" || s.Outcome == "pending" {
			over = false
		}
		if err := w.show(ctx, s); err != nil {
			return true, err
		}
	}
	return over, nil
}

// show copies what is new of one stage.
func (w *follower) show(ctx context.Context, s engine.StageView) error {
	t := w.tails[s.Instance]
	newest := len(s.Attempts)
	if w.flags.attempt > 0 {
		newest = min(newest, w.flags.attempt)
	}
	reused := newest == 0 && s.Outcome == "cached" && w.stage != "" // what it printed then was asked for
	if reused {
		newest = 1
	}
	if t == nil {
		if newest == 0 {
			return nil
		}
		t = &tail{attempt: newest - 1} // what came before the last attempt was not asked for
		w.tails[s.Instance] = t
	}
	if err := w.copy(s.Instance, t); err != nil {
		return err
	}
	for t.attempt < newest {
		_ = t.file.Close() // a nil file closes too
		t.attempt++
		number := t.attempt
		if reused {
			number = 0
		}
		path, err := w.e.LogPath(ctx, w.flags.run, s.Instance, number)
		if err != nil {
			return err
		}
		if t.file, err = openLog(path, w.flags.tail); err != nil {
			return err
		}
		if t.file == nil { // it has printed nothing yet
			t.attempt--
			return nil
		}
		w.flushLine(s.Instance, t) // of the attempt before
		if err := w.copy(s.Instance, t); err != nil {
			return err
		}
	}
	return nil
}

// copy shows what has come to a log since the last time: of one stage as it is, of several in whole
// lines, each with its stage's name.
func (w *follower) copy(instance string, t *tail) error {
	if t.file == nil {
		return nil
	}
	if !w.named {
		_, err := io.Copy(w.out, t.file)
		return err
	}
	text, err := io.ReadAll(t.file)
	if err != nil {
		return fmt.Errorf("reading the log of %q: %w", instance, err)
	}
	t.rest = append(t.rest, text...)
	for {
		line, rest, found := bytes.Cut(t.rest, []byte("\n"))
		if !found {
			return nil
		}
		t.rest = rest
		if _, err := fmt.Fprintf(w.out, "%s | %s\n", instance, line); err != nil {
			return err
		}
	}
}

// flush shows the ends of logs that end without a line break.
func (w *follower) flush() {
	for instance, t := range w.tails {
		w.flushLine(instance, t)
	}
}

func (w *follower) flushLine(instance string, t *tail) {
	if len(t.rest) > 0 {
		fmt.Fprintf(w.out, "%s | %s\n", instance, t.rest)
		t.rest = nil
	}
}

func (w *follower) close() {
	for _, t := range w.tails {
		_ = t.file.Close()
	}
}

// openLog opens a log at its last lines; nil when the attempt has printed nothing yet.
func openLog(path string, tail int) (*os.File, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening log %q: %w", path, err)
	}
	if tail >= 0 {
		if err := seekLines(file, tail); err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("reading log %q: %w", path, err)
		}
	}
	return file, nil
}
