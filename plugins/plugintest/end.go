package plugintest

import (
	"context"
	"fmt"
	"time"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/host"
	"github.com/so8t/so8t/plugins/manifest"
)

// stops asks a run to end while it works.
func (s *suite) stops(ctx context.Context) error {
	return s.with(ctx, func(p *host.Process) error {
		a, err := s.attempt("stop", s.good)
		if err != nil {
			return err
		}
		stopped := make(chan error, 1)
		go func() { stopped <- p.Stop(ctx, grace) }()
		start := time.Now()
		_, err = p.Run(ctx, a, nil)
		took := time.Since(start)
		if stopErr := <-stopped; err == nil && stopErr != nil {
			return stopErr
		}
		if took > grace {
			return fmt.Errorf("asked to stop, it took %s; the grace time was %s", took.Round(time.Second), grace)
		}
		if code := plugins.CodeOf(err); err != nil && code != plugins.Cancelled {
			return fmt.Errorf("asked to stop, it ended with %s instead of cancelled: %w", code, err)
		}
		return nil
	})
}

// resumes asks a run to stop at its first checkpoint, and lets another process go on from there:
// the outputs must be those of the run that was not interrupted.
func (s *suite) resumes(ctx context.Context) error {
	if !s.description.Checkpoints {
		return errNotApplicable("it describes no checkpoints")
	}
	saved, err := s.interrupt(ctx)
	if err != nil {
		return err
	}
	a, err := s.attempt("resumed", s.good)
	if err != nil {
		return err
	}
	a.Number, a.Resume = 2, saved
	if _, wrong, err := s.execute(ctx, a); err != nil || wrong != nil {
		return fmt.Errorf("going on from the checkpoint of step %d: %w", saved.Step, firstOf(err, list(wrong)))
	}
	return s.sameOutputs(a, "a whole run and one that went on from a checkpoint")
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// interrupt returns the newest checkpoint of a run that was asked to stop at its first.
func (s *suite) interrupt(ctx context.Context) (*plugins.Checkpoint, error) {
	a, err := s.attempt("interrupted", s.good)
	if err != nil {
		return nil, err
	}
	var saved *plugins.Checkpoint
	var warned string
	err = s.with(ctx, func(p *host.Process) error {
		_, err := p.Run(ctx, a, func(e plugins.Event) {
			switch e := e.(type) {
			case plugins.Saved:
				if saved == nil {
					go func() { _ = p.Stop(ctx, grace) }() // it may have ended
				}
				saved = &e.Checkpoint
			case plugins.Warning:
				warned = e.Message
			}
		})
		return err
	})
	switch {
	case err != nil && plugins.CodeOf(err) != plugins.Cancelled:
		return nil, fmt.Errorf("asked to stop at a checkpoint, it ended with %s: %w", plugins.CodeOf(err), err)
	case saved == nil && warned != "":
		return nil, fmt.Errorf("its checkpoint cannot be used: %s", warned)
	case saved == nil:
		return nil, errNotApplicable("it saves no checkpoint on the small input; give it work with --with")
	}
	if _, err := manifest.VerifyFolder(saved.Path, manifest.Contents); err != nil {
		return nil, fmt.Errorf("the checkpoint of step %d would not be used after a crash: %w", saved.Step, err)
	}
	return saved, nil
}

// dies kills a plugin at work.
func (s *suite) dies(ctx context.Context) error {
	p, err := s.launch(ctx)
	if err != nil {
		return err
	}
	a, err := s.attempt("kill", s.good)
	if err != nil {
		p.Close()
		return err
	}
	_, _ = p.Run(ctx, a, func(plugins.Event) { p.Kill() }) // how it ends does not matter
	p.Kill()
	if left := p.Close(); len(left) > 0 {
		return fmt.Errorf("it left %d process(es) behind, outside its process group", len(left))
	}
	if gone, err := host.Sweep([]host.Record{p.Record()}); err != nil || len(gone) > 0 {
		return fmt.Errorf("%d process(es) were still there afterwards: %w", len(gone), err)
	}
	return nil
}
