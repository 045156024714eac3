package state

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func events(t *testing.T, dir string, offset int64) (list []string, next int64, damaged int) {
	t.Helper()
	next, damaged, err := readEvents(dir, testRun, offset, func(e journalEvent) error {
		if e.Time.IsZero() {
			t.Error("event without time")
		}
		list = append(list, string(e.Data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, next, damaged
}

func event(n int) json.RawMessage { return json.RawMessage(fmt.Sprintf(`{"event":%d}`, n)) }

func TestEventsAreReadInOrderAndTailed(t *testing.T) {
	dir := t.TempDir()
	if list, _, _ := events(t, dir, 0); list != nil {
		t.Errorf("without a journal: %q", list)
	}
	s := openStore(t, dir, Options{})
	createRun(t, s, testRun)
	if err := s.AppendEvent(testRun, event(1)); err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *Tx) error { tx.Event(testRun, event(2)); return tx.PutRun(mustRun(t, tx)) })
	list, next, _ := events(t, dir, 0)
	if !slices.Equal(list, []string{`{"event":1}`, `{"event":2}`}) {
		t.Errorf("events %q", list)
	}
	if err := s.AppendEvent(testRun, event(3)); err != nil {
		t.Fatal(err)
	}
	// Half a line, as a reader may see it.
	f, err := os.OpenFile(JournalPath(dir, testRun), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"crc":"0000`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	list, again, damaged := events(t, dir, next)
	if !slices.Equal(list, []string{`{"event":3}`}) || damaged != 0 {
		t.Errorf("tail %q, %d damaged", list, damaged)
	}
	if info, err := os.Stat(JournalPath(dir, testRun)); err != nil || again != info.Size()-int64(len(`{"crc":"0000`)) {
		t.Errorf("tail ends at %d, %v", again, err)
	}
}

// TestTornLineIsDroppedWhenTheRunGoesOn: what a crash left of a line does not spoil the
// next one.
func TestTornLineIsDroppedWhenTheRunGoesOn(t *testing.T) {
	for name, tail := range map[string]string{
		"half a line": `{"crc":"12345678","time`, "zeros": strings.Repeat("\x00", 300), "zeros and newline": "\x00\x00\n", "nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, dir, Options{})
			createRun(t, s, testRun)
			good, err := os.ReadFile(JournalPath(dir, testRun))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(JournalPath(dir, testRun), append(good, tail...), 0o666); err != nil {
				t.Fatal(err)
			}
			findings := check(t, dir, CheckOptions{})
			torn := slices.ContainsFunc(findings, func(f Finding) bool { return f.Code == CodeJournalTorn && f.Severity == Note })
			if torn != (tail != "") || countDamage(findings) > 0 {
				t.Errorf("findings %+v", findings)
			}
			next := openStore(t, dir, Options{})
			if err := next.AppendEvent(testRun, event(1)); err != nil {
				t.Fatal(err)
			}
			now, err := os.ReadFile(JournalPath(dir, testRun))
			if err != nil || !bytes.HasPrefix(now, good) {
				t.Errorf("good lines were lost: %q, %v", now, err)
			}
			if list, _, damaged := events(t, dir, 0); len(list) != 1 || damaged != 0 {
				t.Errorf("events %q, %d damaged", list, damaged)
			}
		})
	}
}

// TestDamagedJournalIsRepairedFromTheDatabase: a line damaged in the middle, or a lost
// journal, is found, and after the repair the database can be rebuilt from it.
func TestDamagedJournalIsRepairedFromTheDatabase(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"flipped byte": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 0x20
			return os.WriteFile(path, b, 0o666)
		},
		"zeroed": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			clear(b[100 : len(b)/2])
			return os.WriteFile(path, b, 0o666)
		},
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir, content := filledState(t)
			if err := damage(JournalPath(dir, "20260102-030401-aaaaa")); err != nil {
				t.Fatal(err)
			}
			findings := check(t, dir, CheckOptions{})
			if countDamage(findings) != 1 {
				t.Fatalf("findings %+v", findings)
			}
			if _, err := repair(dir, findings); err != nil {
				t.Fatal(err)
			}
			if findings := check(t, dir, CheckOptions{}); countDamage(findings) > 0 {
				t.Errorf("after the repair: %+v", findings)
			}
			if err := withStore(dir, func(s *Store) error { return s.rebuild(context.Background()) }); err != nil {
				t.Fatal(err)
			}
			if got, err := contentOf(dir); err != nil || !bytes.Equal(got, content) {
				t.Errorf("rebuilt (%v):\n%s\nwant\n%s", err, got, content)
			}
		})
	}
}

// FuzzJournal: whatever stands in a journal, reading it ends without a panic, and a good
// line put behind it is found.
func FuzzJournal(f *testing.F) {
	line, err := encodeLine(journalLine{Time: testTime, Entries: []journalEntry{{Kind: kindEvent, Value: event(1)}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte("\n\n{\"crc\":\"zz"))
	f.Add(append(bytes.Clone(line), line[:20]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		text := append(append(bytes.Clone(b), '\n'), line...)
		found := 0
		ext, err := scanJournal(bytes.NewReader(text), 0, func(journalLine) error { found++; return nil })
		if err != nil || found == 0 || ext.end != int64(len(text)) || ext.trailer != 0 {
			t.Errorf("found %d lines, %+v, %v", found, ext, err)
		}
	})
}

// FuzzValue: a value is read back as it was, and none that was changed is believed.
func FuzzValue(f *testing.F) {
	f.Add([]byte("runs"), []byte("key"), []byte(`{"a":1}`), uint16(3), byte(1))
	f.Fuzz(func(t *testing.T, bucket, key, doc []byte, at uint16, flip byte) {
		value := sealValue(bucket, key, doc)
		got, err := openValue(bucket, key, value)
		if err != nil || !bytes.Equal(got, doc) {
			t.Fatalf("%q, %v", got, err)
		}
		if flip != 0 {
			value[int(at)%len(value)] ^= flip
			if _, err := openValue(bucket, key, value); err == nil {
				t.Errorf("a changed value is believed")
			}
			value[int(at)%len(value)] ^= flip
		}
		if _, err := openValue(bucket, append(bytes.Clone(key), 'x'), value); err == nil {
			t.Errorf("a value is believed under another key")
		}
		if len(value) > 1 {
			if _, err := openValue(bucket, key, value[:len(value)-1]); err == nil {
				t.Errorf("a shortened value is believed")
			}
		}
	})
}

// journalEvent is one event as the journal holds it.
type journalEvent struct {
	Time time.Time
	Data json.RawMessage
}

// readEvents calls f for each event of a run's journal from byte offset on, in order,
// and returns the offset to go on from later (a tail). What is no whole good line is
// skipped; damaged counts such lines in front of a good one, and a line still being
// written is left for the next call. Without a journal there are no events.
func readEvents(dir, run string, offset int64, f func(journalEvent) error) (next int64, damaged int, err error) {
	file, err := os.Open(JournalPath(dir, run))
	if errors.Is(err, fs.ErrNotExist) {
		return offset, 0, nil
	}
	if err != nil {
		return offset, 0, fmt.Errorf("reading the journal of run %q: %w", run, err)
	}
	defer file.Close()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return offset, 0, fmt.Errorf("reading the journal of run %q: %w", run, err)
	}
	ext, err := scanJournal(file, offset, func(l journalLine) error {
		for _, e := range l.Entries {
			if e.Kind != kindEvent {
				continue
			}
			if err := f(journalEvent{Time: l.Time, Data: e.Value}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("reading the journal of run %q: %w", run, err)
	}
	return ext.end, ext.inside, err
}

// TestEncodeLine_IsTheJSONOfItsParts: what is put together by hand is what the encoder writes.
func TestEncodeLine_IsTheJSONOfItsParts(t *testing.T) {
	for _, entries := range [][]journalEntry{
		{{Kind: kindEvent, Value: json.RawMessage(`{"a":"<\u003c\n"}`)}},
		{{Kind: kindRun, Value: json.RawMessage(`{}`)}, {Kind: kindStage, Value: json.RawMessage(`{"b":[1,2]}`)}},
	} {
		l := journalLine{Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Entries: entries}
		line, err := encodeLine(l)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := marshal(l)
		if err != nil || string(line[:len(crcOpen)]) != crcOpen || string(line[crcHead:]) != string(whole[1:])+"\n" {
			t.Errorf("%s, %v\nis not\n%s", line, err, whole)
		}
		if back, err := decodeLine(bytes.TrimSuffix(line, []byte("\n"))); err != nil || !reflect.DeepEqual(back, l) {
			t.Errorf("read back: %+v, %v", back, err)
		}
	}
	if _, err := encodeLine(journalLine{Entries: []journalEntry{{Kind: kindEvent, Value: json.RawMessage("{\n}")}}}); err == nil {
		t.Error("a line break in a line")
	}
}
