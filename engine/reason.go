package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/so8t/so8t/state"
)

// forcedText is the reason of a stage that was told to run, and what changed besides.
func forcedText(changes []Change) string {
	if len(changes) == 0 {
		return "forced"
	}
	return "forced; " + changesText(changes)
}

// shownChanges is how many changes a reason spells out; all are in Changes.
const shownChanges = 3

func changesText(changes []Change) string {
	var parts []string
	for i, c := range changes {
		if i == shownChanges {
			parts = append(parts, fmt.Sprintf("and %d more", len(changes)-i))
			break
		}
		parts = append(parts, c.String())
	}
	return strings.Join(parts, "; ")
}

func waitsText(waits []string) string {
	waits = slices.Compact(slices.Sorted(slices.Values(waits)))
	if len(waits) == 1 {
		return fmt.Sprintf("stage %s runs before it", waits[0])
	}
	return fmt.Sprintf("stages %s run before it", strings.Join(waits, ", "))
}

// unfinishedReason is why work that nothing changed in has yet to be done.
func unfinishedReason(tx *state.Tx, fingerprint string, previous state.LatestParts) (string, error) {
	if fingerprint != "" {
		unfinished, err := tx.Unfinished(fingerprint)
		if err != nil {
			return "", err
		}
		for _, a := range unfinished {
			if len(a.Checkpoints) > 0 {
				step := a.Checkpoints[len(a.Checkpoints)-1].Step
				return fmt.Sprintf("continues attempt %d of run %s from step %d", a.Number, a.Run, step), nil
			}
		}
	}
	if previous.Fingerprint != "" && previous.Fingerprint == fingerprint {
		return "its outputs are no longer in the state", nil
	}
	return "not done yet", nil
}

// previousFacts are the facts among the parts of an earlier fingerprint.
func previousFacts(parts []state.Part) map[string]string {
	var facts map[string]string
	for _, p := range parts {
		name, ok := strings.CutPrefix(p.Field, "facts.")
		if !ok {
			continue
		}
		var text string
		if json.Unmarshal(p.Value, &text) != nil {
			continue
		}
		if facts == nil {
			facts = map[string]string{}
		}
		facts[name] = text
	}
	return facts
}

func stateChanges(changes []Change) []state.Change {
	var out []state.Change
	for _, c := range changes {
		out = append(out, state.Change{Field: c.Field, From: c.From, To: c.To, Because: c.Because})
	}
	return out
}
