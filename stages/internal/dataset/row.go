// Package dataset holds labelled conversations: the row that all stages share, the
// import of users' files with every problem named by line, near-duplicates, group splits
// and leaks between splits.
package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/so8t/so8t/stages/internal/chat"
)

// The three judgements.
const (
	Allow      = "ALLOW"
	Escalation = "ESCALATION"
	Deny       = "DENY"
)

// Labels are the judgements in the order that scores, matrices and reports use.
var Labels = []string{Allow, Escalation, Deny}

// Row is one example. Its messages end with the target: the assistant's judgement.
type Row struct {
	ID       string         `json:"id"`
	Messages []chat.Message `json:"messages"`
	// Label is "" for a row that only teaches to answer.
	Label  string `json:"label"`
	Reason string `json:"reason"`
	Domain string `json:"domain"`
	// Template and Topic group rows that are alike: no group is in two splits.
	Template string `json:"template"`
	Topic    string `json:"topic"`
}

// FirstLine is how a target begins, with its line feed: what a label's score is summed over.
func FirstLine(label string) string { return "判定: " + label + "\n" }

// Target is the answer that states label and reason.
func Target(label, reason string) string { return FirstLine(label) + "理由: " + reason }

// Prompt returns the messages before the target.
func (r Row) Prompt() []chat.Message {
	if n := len(r.Messages); n > 0 && r.Messages[n-1].Role == "assistant" {
		return r.Messages[:n-1]
	}
	return r.Messages
}

// PromptText is the text of the prompt's messages, one a line.
func (r Row) PromptText() string {
	var texts []string
	for _, m := range r.Prompt() {
		texts = append(texts, m.Content)
	}
	return strings.Join(texts, "\n")
}

// Write writes rows, or anything else, as JSONL.
func Write[T any](w io.Writer, rows []T) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, r := range rows {
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// WriteFile is Write to a new file.
func WriteFile[T any](path string, rows []T) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing rows: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	w := bufio.NewWriter(f)
	if err := Write(w, rows); err != nil {
		return fmt.Errorf("writing rows %q: %w", path, err)
	}
	return w.Flush()
}

// ReadFile reads rows that WriteFile wrote. With labelled, every row must carry one of
// Labels. Users' own files go through Import.
func ReadFile(path string, labelled bool) ([]Row, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading rows: %w", err)
	}
	var rows []Row
	for i, line := range bytes.Split(raw, []byte{'\n'}) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var r Row
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
		if len(r.Messages) == 0 {
			return nil, fmt.Errorf("%s:%d: no messages", path, i+1)
		}
		if labelled && !slices.Contains(Labels, r.Label) {
			return nil, fmt.Errorf("%s:%d: label %q is none of %s", path, i+1, r.Label, strings.Join(Labels, " "))
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("reading rows %q: no row", path)
	}
	return rows, nil
}
