package state

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Kinds of journal entries.
const (
	kindEvent   = "event"
	kindRun     = "run"
	kindPlan    = "plan"
	kindStage   = "stage"
	kindAttempt = "attempt"
	kindCache   = "cache"
	kindDrop    = "drop" // of a cache entry; the value is its fingerprint
	kindParts   = "parts"
	// kindPublished is what an engine puts at a path of the project.
	kindPublished = "published"
)

// journalEntry is one record or event.
type journalEntry struct {
	run   string
	Kind  string          `json:"kind"`
	Value json.RawMessage `json:"value"`
}

// journalLine is one line: what one transaction wrote for one run, or one event. In the
// file it begins with its checksum, eight hexadecimal digits of CRC32C over everything
// after them, and is still a JSON object:
//
//	{"crc":"1f2e3d4c","time":"…","entries":[{"kind":"stage","value":{…}},…]}
type journalLine struct {
	Time    time.Time      `json:"time"`
	Entries []journalEntry `json:"entries"`
}

const (
	crcOpen  = `{"crc":"`
	crcClose = `",`
	crcHead  = len(crcOpen) + 8 + len(crcClose)
)

// maxLine bounds what a reader takes for one line.
const maxLine = 64 << 20

// encodeLine writes the line into one piece of memory: that of a run's first transaction holds every
// stage, and the records in it are encoded already.
func encodeLine(l journalLine) ([]byte, error) {
	at, err := marshal(l.Time)
	if err != nil {
		return nil, err
	}
	const kind, value = `{"kind":"`, `","value":`
	size := crcHead + len(at) + 64
	for _, e := range l.Entries {
		size += len(kind) + len(e.Kind) + len(value) + len(e.Value) + len("},")
	}
	line := make([]byte, crcHead, size)
	copy(line, crcOpen)
	copy(line[crcHead-len(crcClose):], crcClose)
	line = append(append(line, `"time":`...), at...)
	line = append(line, `,"entries":[`...)
	for i, e := range l.Entries {
		if bytes.IndexByte(e.Value, '\n') >= 0 {
			return nil, errors.New("a record is no single line of JSON")
		}
		if i > 0 {
			line = append(line, ',')
		}
		line = append(append(append(line, kind...), e.Kind...), value...)
		line = append(append(line, e.Value...), '}')
	}
	line = append(line, "]}"...)
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.Checksum(line[crcHead-len(crcClose):], castagnoli()))
	hex.Encode(line[len(crcOpen):], sum[:])
	return append(line, '\n'), nil
}

var errLine = errors.New("line does not match its checksum")

// decodeLine reads a line without its newline.
func decodeLine(b []byte) (journalLine, error) {
	var l journalLine
	if len(b) < crcHead || string(b[:len(crcOpen)]) != crcOpen {
		return l, errLine
	}
	var sum [4]byte
	if _, err := hex.Decode(sum[:], b[len(crcOpen):len(crcOpen)+8]); err != nil {
		return l, errLine
	}
	rest := b[len(crcOpen)+8:]
	crc := uint32(sum[0])<<24 | uint32(sum[1])<<16 | uint32(sum[2])<<8 | uint32(sum[3])
	if crc32.Checksum(rest, castagnoli()) != crc || !bytes.HasPrefix(rest, []byte(crcClose)) {
		return l, errLine
	}
	doc := append([]byte{'{'}, rest[len(crcClose):]...)
	if err := json.Unmarshal(doc, &l); err != nil {
		return l, fmt.Errorf("line matches its checksum and is no entry: %w", err)
	}
	return l, nil
}

// journal is a run's journal open for appending.
type journal struct {
	mu   sync.Mutex
	file *os.File
}

// journal returns the journal of a run, opening it the first time.
func (s *Store) journal(run string) (*journal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.journals[run]; j != nil {
		return j, nil
	}
	j, err := openJournal(s.dir, run)
	if err != nil {
		return nil, fmt.Errorf("opening the journal of run %q: %w", run, err)
	}
	s.journals[run] = j
	return j, nil
}

// openJournal makes the journal, or cuts off what a crash left of a last line.
func openJournal(dir, run string) (*journal, error) {
	path := JournalPath(dir, run)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f}
	if err := j.recover(path); err != nil {
		_ = f.Close()
		return nil, err
	}
	return j, nil
}

func (j *journal) recover(path string) error {
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		// The names of the file, of the run's folder, of runs and of the database, whose
		// maker may have been killed, must outlive a power cut as the first line does.
		run := filepath.Dir(path)
		runs := filepath.Dir(run)
		for _, d := range []string{run, runs, filepath.Dir(runs)} {
			if err := syncDir(d); err != nil {
				return err
			}
		}
		return nil
	}
	good, err := scanJournal(j.file, 0, func(journalLine) error { return nil })
	if err != nil {
		return err
	}
	if good.end < info.Size() {
		return os.Truncate(path, good.end)
	}
	return nil
}

// append writes one line, and syncs it and all before it when asked to. When that fails
// the line is taken back, so that the next one does not follow half of it. withdraw takes it back
// later, unless something follows it by then.
func (j *journal) append(entries []journalEntry, sync bool) (withdraw func(), err error) {
	line, err := encodeLine(journalLine{Time: time.Now().UTC(), Entries: entries})
	if err != nil {
		return nil, fmt.Errorf("encoding a line of the journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	before, err := j.file.Stat()
	if err != nil {
		return nil, fmt.Errorf("writing the journal: %w", err)
	}
	_, err = j.file.Write(line)
	if err == nil && sync {
		err = syncData(j.file)
	}
	if err != nil {
		// By name: Windows lets no file be cut that is open for appending.
		_ = os.Truncate(j.file.Name(), before.Size())
		return nil, fmt.Errorf("writing the journal: %w", err)
	}
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		if now, err := j.file.Stat(); err == nil && now.Size() == before.Size()+int64(len(line)) {
			_ = os.Truncate(j.file.Name(), before.Size())
		}
	}, nil
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}

// AppendEvent adds one event (a JSON object) to the journal of a run. It is not synced:
// the next Update that touches the run does that. Only the engine of the run writes.
func (s *Store) AppendEvent(run string, event json.RawMessage) error {
	j, err := s.journal(run)
	if err != nil {
		return err
	}
	_, err = j.append([]journalEntry{{Kind: kindEvent, Value: event}}, false)
	return err
}

// journalExtent says what a scan found.
type journalExtent struct {
	end     int64 // byte after the last good line
	size    int64 // bytes read
	inside  int   // bad lines with a good one after them: damage
	trailer int   // bad lines, or a part of one, at the end: what a crash leaves
}

// scanJournal calls f for each good line from r, which begins at offset, and skips what
// is none.
func scanJournal(r io.Reader, offset int64, f func(l journalLine) error) (journalExtent, error) {
	ext := journalExtent{end: offset, size: offset}
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, readErr := readLine(in)
		ext.size += int64(len(line))
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return ext, readErr
		}
		if len(line) > 0 {
			text, whole := bytes.CutSuffix(line, []byte{'\n'})
			l, lineErr := decodeLine(text)
			if !whole || lineErr != nil {
				ext.trailer++
			} else {
				ext.inside += ext.trailer
				ext.trailer = 0
				ext.end = ext.size
				if err := f(l); err != nil {
					return ext, err
				}
			}
		}
		if readErr != nil {
			return ext, nil
		}
	}
}

// readLine reads through the next newline, or at most maxLine bytes.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) && len(line) < maxLine {
			continue
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			err = nil
		}
		return line, err
	}
}
