package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"github.com/so8t/so8t/state"
)

// Metrics returns final values and curves of a run's stages; of one when stage is not "". The
// curve of an attempt that went on from a checkpoint is that of the attempt before up to the
// checkpoint's step, and then its own.
func (e *Engine) Metrics(ctx context.Context, id, stage string) (*MetricsView, error) {
	r, err := e.recordedRun(ctx, id)
	if err != nil {
		return nil, err
	}
	if stage != "" && !r.has(stage) {
		return nil, r.noStage(stage)
	}
	view := &MetricsView{Stages: map[string]StageMetrics{}}
	for _, s := range r.stages {
		if stage != "" && s.Instance != stage && s.Stage != stage {
			continue
		}
		m := StageMetrics{Final: Values{}, Series: map[string]Points{}}
		for name, value := range s.Metrics {
			m.Final[name] = value
		}
		if err := e.series(ctx, s, m.Series); err != nil {
			return nil, err
		}
		if len(m.Final)+len(m.Series) > 0 {
			view.Stages[s.Instance] = m
		}
	}
	return view, nil
}

// series reads the curves of a stage's latest attempt, or of the one it reuses.
func (e *Engine) series(ctx context.Context, s state.StageRecord, into map[string]Points) error {
	if s.Outcome == state.Cached {
		pin, _ := pinOf(s)
		folder := e.entryFolder(pin.entry)
		return e.attemptSeries(ctx, folder, into, 0)
	}
	if s.Attempts == 0 {
		return nil
	}
	return e.attemptSeries(ctx, attemptDir(e.store.Dir(), s.Run, s.Instance, s.Attempts), into, 0)
}

// maxResumes bounds how long a chain of resumed attempts is followed.
const maxResumes = 10_000

func (e *Engine) attemptSeries(ctx context.Context, f attemptFolder, into map[string]Points, depth int) error {
	origin, ok, err := readOrigin(f.origin())
	if err != nil {
		return err
	}
	if ok && depth < maxResumes {
		before := attemptFolder(e.inState(origin.Folder))
		if err := e.attemptSeries(ctx, before, into, depth+1); err != nil {
			return err
		}
		for name, points := range into {
			into[name] = slices.DeleteFunc(points, func(p [2]float64) bool { return p[0] > float64(origin.Step) })
		}
	}
	return readMetrics(f.metrics(), into)
}

// readMetrics appends the points of a metrics file; a torn last line is none.
func readMetrics(path string, into map[string]Points) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var line metricLine
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue
		}
		value, ok := line.number()
		if !ok {
			continue
		}
		into[line.Name] = append(into[line.Name], [2]float64{float64(line.Step), value})
	}
	return lines.Err()
}

func (l metricLine) number() (float64, bool) {
	switch v := l.Value.(type) {
	case float64:
		return v, true
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil
	}
	return 0, false
}

// LogPath finds the log of a stage: of its latest attempt when attempt is 0; of a reused stage that
// of the attempt whose outputs it reuses.
func (e *Engine) LogPath(ctx context.Context, id, stage string, attempt int) (string, error) {
	r, err := e.recordedRun(ctx, id)
	if err != nil {
		return "", err
	}
	s, err := r.find(stage)
	if err != nil {
		return "", err
	}
	if s.Outcome == state.Cached && attempt == 0 {
		pin, _ := pinOf(s)
		return e.entryFolder(pin.entry).log(), nil
	}
	if attempt == 0 {
		attempt = s.Attempts
	}
	return attemptDir(e.store.Dir(), id, s.Instance, attempt).log(), nil
}
