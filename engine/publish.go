package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/manifest"
	"github.com/so8t/so8t/state"
)

// finish makes what the attempt did durable. The order on success is what makes the database
// never name an artifact that a crash could have lost:
//
//  1. every output file and folder is synced, bottom-up, then manifest.json is written beside
//     them: temporary file, sync, rename, sync of the folder (by the plugin's sdk; by us when
//     the plugin has none);
//  2. the name of the attempt's folder is synced;
//  3. one transaction: attempt, stage, cache entry, the fingerprint's parts, and the event.
//
// A crash before 3 costs this attempt only, and not even that when result.json and the manifest
// are there: see recover.go.
func (a *attempt) finish(ctx context.Context, res plugins.Result, err error) error {
	var sealed *manifest.Manifest
	if err == nil && res.Skipped == "" {
		if err = a.fresh(ctx); err == nil { // before the result is written, from which it could be adopted
			sealed, err = a.seal(res)
		}
	}
	removeErr := removeFolder(a.folder.scratch())
	if err == nil {
		err = removeErr
	}
	outcome, failure := a.classify(ctx, err)
	if outcome == state.Succeeded && res.Skipped != "" {
		outcome = state.Skipped
	}
	now := a.r.e.now()
	a.record.Outcome, a.record.Ended, a.record.Error = outcome, now, failure
	s := a.work.record
	s.Outcome, s.Ended, s.Error = outcome, now, failure
	switch outcome {
	case state.Succeeded:
		if a.outputs, err = a.r.e.outputRecords(a.folder, sealed); err != nil {
			return err
		}
		if s.Outputs, s.Metrics = a.outputs, res.Metrics; a.refused != "" {
			a.refuse(s)
		}
	case state.Skipped:
		s.Reason = res.Skipped
	case state.Failed:
		a.failed(failure, s)
	}
	return a.commit(ctx)
}

// failed decides whether there is another try, and gives the space of a full disk back.
func (a *attempt) failed(failure *state.ErrorRecord, s *state.StageRecord) {
	code := plugins.Code(failure.Code)
	if code == plugins.OutOfDisk {
		if err := os.RemoveAll(a.folder.out()); err != nil {
			a.warn(fmt.Sprintf("removing the outputs of a failed attempt: %v", err))
		}
	}
	if a.n.retry.again(a.try, code) {
		a.record.Proposed = a.proposal
		// At least a moment: zero means that there is no other try.
		a.retry = max(a.n.retry.wait(a.try, a.r.id+" "+a.n.instance), 1)
		s.Outcome = state.Running
	}
}

// commit stores the end of the attempt, and of the stage unless it is tried again.
func (a *attempt) commit(ctx context.Context) error {
	s := *a.work.record
	event := a.r.ended(a.n.index, s, a.number)
	event.Retry = a.retry
	if a.plugin != nil {
		used := usageOf(a.record)
		event.Usage = &used
	}
	if a.retry > 0 {
		event.Outcome = string(state.Failed)
	}
	err := a.r.update(ctx, func(tx *state.Tx) error {
		if err := tx.PutAttempt(a.record); err != nil {
			return err
		}
		if err := tx.PutStage(s); err != nil {
			return err
		}
		if a.record.Outcome == state.Succeeded {
			if err := tx.PutCache(a.cacheEntry(s)); err != nil {
				return err
			}
			if err := a.r.putParts(tx, a.n, a.identity); err != nil {
				return err
			}
			if err := a.r.announcePublications(tx, a.n, s.Outputs); err != nil {
				return err
			}
		}
		return a.r.event(tx, event)
	})
	if err != nil {
		return err
	}
	a.r.emit(event)
	return nil
}

func (a *attempt) cacheEntry(s state.StageRecord) state.CacheEntry {
	return state.CacheEntry{
		Fingerprint: a.identity.fingerprint, Run: a.r.id, Epoch: a.r.epoch, Instance: a.n.instance, Attempt: a.number,
		Outputs: a.outputs, Metrics: s.Metrics, Parts: a.identity.parts, Time: s.Ended,
	}
}

// seal makes the outputs durable, unless the plugin has, and writes the result beside them.
func (a *attempt) seal(res plugins.Result) (*manifest.Manifest, error) {
	for name, v := range res.Metrics {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, plugins.Errorf(plugins.Internal, "metric %q is %v", name, v)
		}
	}
	declared := a.n.plugin.outputs(a.with)
	m, err := manifest.VerifyOutputs(a.folder.out(), manifest.Sizes)
	if errors.Is(err, manifest.ErrIncomplete) {
		m, err = manifest.SealOutputs(a.r.e.disk, a.folder.out(), declared)
	}
	if err != nil {
		return nil, fmt.Errorf("publishing outputs: %w", err)
	}
	for _, o := range declared {
		if _, ok := m.Output(o.Name); !ok && !o.Optional {
			return nil, plugins.Errorf(plugins.Internal, "output %q is missing", o.Name)
		}
	}
	if err := a.nameDurably(); err != nil {
		return nil, fmt.Errorf("publishing outputs: %w", err)
	}
	a.refused = a.n.refusal(res.Metrics)
	return m, writeResult(a.folder.result(), savedResult{
		Fingerprint: a.identity.fingerprint, Parts: a.identity.parts, Metrics: res.Metrics, Refused: a.refused,
	})
}

// nameDurably makes the name of the attempt's folder survive a power cut, once.
func (a *attempt) nameDurably() error {
	if a.named {
		return nil
	}
	a.named = true
	return a.folder.syncNames(a.r.e.disk, a.n.plugin.foreign())
}

// foreign plugins are known by their files.
func (p *pluginInfo) foreign() bool { return p.digest != "" }

// outputs are what a run with these parameters leaves.
func (p *pluginInfo) outputs(with json.RawMessage) []manifest.Output {
	var out []manifest.Output
	for _, o := range p.description.OutputsOf(with) {
		out = append(out, manifest.Output{Name: o.Name, Path: o.Path, MediaType: o.MediaType, Optional: o.Optional, Volatile: o.Volatile})
	}
	return out
}

// outputRecords says where the sealed outputs of an attempt are.
func (e *Engine) outputRecords(f attemptFolder, m *manifest.Manifest) (map[string]state.OutputRecord, error) {
	if len(m.Outputs) == 0 {
		return nil, nil
	}
	root, err := e.stateRelative(f.out())
	if err != nil {
		return nil, err
	}
	records := make(map[string]state.OutputRecord, len(m.Outputs))
	for _, o := range m.Outputs {
		records[o.Name] = state.OutputRecord{
			Path: root + "/" + o.Path, SHA256: o.SHA256, Bytes: o.Bytes, MediaType: o.MediaType, Volatile: o.Volatile,
		}
	}
	return records, nil
}

// savedResult is what a crash between the end of a stage and its commit would lose.
type savedResult struct {
	Fingerprint string        `json:"fingerprint"`
	Parts       []state.Part  `json:"parts"`
	Metrics     state.Metrics `json:"metrics,omitempty"`
	Refused     string        `json:"refused,omitempty"` // by the gates
}

// writeResult does not sync: a result that a power cut loses or tears is not read again, and the
// attempt is made anew.
func writeResult(path string, r savedResult) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // or the parts were other bytes than those that were hashed
	if err := e.Encode(r); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o666)
}

// readResult returns what writeResult wrote; false when it is not whole.
func readResult(path string) (savedResult, bool) {
	var r savedResult
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &r) != nil {
		return r, false
	}
	return r, r.Fingerprint != "" && hashParts(r.Parts) == r.Fingerprint
}
