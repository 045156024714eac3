package state

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"
)

// Tx is one transaction: a consistent view and, inside Update, one atomic change.
// It is for one goroutine and ends with the function it was handed to.
type Tx struct {
	bolt  *bbolt.Tx
	path  string
	dirty bool
	// replaying a journal: records are taken as they are, and no line is written.
	replaying bool
	lines     []journalEntry
	what      string // the last change in words, for BeforeCommit
}

// touch runs f, which reads or writes pages, and turns what bbolt does on a damaged
// file (a panic, a fault in mapped memory) into an error.
func (t *Tx) touch(f func() error) error { return soundly(t.path, f) }

// get fills record with the value of key; false when there is none.
func (t *Tx) get(bucket, key []byte, record any) (found bool, err error) {
	err = t.touch(func() error {
		b := t.bolt.Bucket(bucket)
		if b == nil {
			return t.noBucket(bucket)
		}
		value := b.Get(key)
		if value == nil {
			return nil
		}
		found = true
		return t.decode(bucket, key, value, record)
	})
	return found, err
}

func (t *Tx) noBucket(bucket []byte) error {
	return &DamagedError{Path: t.path, Reason: fmt.Sprintf("bucket %q is missing", bucket)}
}

func (t *Tx) decode(bucket, key, value []byte, record any) error {
	if err := decodeValue(bucket, key, value, record); err != nil {
		return &DamagedError{Path: t.path, Reason: fmt.Sprintf("record %s %q: %v", bucket, key, err)}
	}
	return nil
}

// put stores record under key.
func (t *Tx) put(bucket, key []byte, record any) error {
	value, err := encodeValue(bucket, key, record)
	if err != nil {
		return err
	}
	return t.putValue(bucket, key, value)
}

// putLogged puts a record and adds it to the run's journal. It is encoded once: what the journal gets
// is the part of the value that is JSON, which bbolt leaves as it is.
func (t *Tx) putLogged(bucket, key []byte, record any, run, kind, what string) error {
	value, err := encodeValue(bucket, key, record)
	if err != nil {
		return err
	}
	if err := t.putValue(bucket, key, value); err != nil {
		return err
	}
	t.add(run, kind, what, jsonOf(value))
	return nil
}

func (t *Tx) putValue(bucket, key, value []byte) error {
	return t.touch(func() error {
		b := t.bolt.Bucket(bucket)
		if b == nil {
			return t.noBucket(bucket)
		}
		t.dirty = true
		return b.Put(key, value)
	})
}

func (t *Tx) remove(bucket, key []byte) error {
	return t.touch(func() error {
		b := t.bolt.Bucket(bucket)
		if b == nil {
			return t.noBucket(bucket)
		}
		if b.Get(key) == nil {
			return nil
		}
		t.dirty = true
		return b.Delete(key)
	})
}

// scan calls f for each record whose key begins with prefix, in order of keys. The
// arguments of f are valid until it returns.
func (t *Tx) scan(bucket, prefix []byte, f func(key, value []byte) error) error {
	return t.touch(func() error {
		b := t.bolt.Bucket(bucket)
		if b == nil {
			return t.noBucket(bucket)
		}
		c := b.Cursor()
		for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
			if err := f(k, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// log remembers a record for the journal of its run.
func (t *Tx) log(run, kind, what string, record any) error {
	doc, err := marshal(record)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", what, err)
	}
	t.add(run, kind, what, doc)
	return nil
}

func (t *Tx) add(run, kind, what string, doc json.RawMessage) {
	t.what = what
	if !t.replaying {
		t.lines = append(t.lines, journalEntry{run: run, Kind: kind, Value: doc})
	}
}

// Event adds an event of the run to this transaction: it stands in the journal when,
// and in front of anything that happens after, the transaction's records do.
func (t *Tx) Event(run string, event json.RawMessage) {
	if !t.replaying {
		t.dirty = true
		t.lines = append(t.lines, journalEntry{run: run, Kind: kindEvent, Value: event})
	}
}
