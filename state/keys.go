package state

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Buckets of the database. Keys are built here and nowhere else: their parts are joined
// by a zero byte and numbers are big-endian, so that bytes sort as the parts do.
var (
	bucketMeta       = []byte("meta")       // "schema" → version; published, path
	bucketRuns       = []byte("runs")       // run id, which begins with its time
	bucketPlans      = []byte("plans")      // run id
	bucketStages     = []byte("stages")     // run, instance
	bucketAttempts   = []byte("attempts")   // run, instance, number
	bucketCache      = []byte("cache")      // fingerprint
	bucketUnfinished = []byte("unfinished") // fingerprint, run, instance, number
	bucketParts      = []byte("parts")      // workflow, instance
	bucketFiles      = []byte("files")      // path
)

var buckets = [][]byte{
	bucketMeta, bucketRuns, bucketPlans, bucketStages, bucketAttempts,
	bucketCache, bucketUnfinished, bucketParts, bucketFiles,
}

var keySchema = []byte("schema")

// maxKey is below bbolt's 32,768 bytes.
const maxKey = 16 << 10

// textKey joins parts. A part may be neither empty nor hold a zero byte.
func textKey(parts ...string) ([]byte, error) {
	key := []byte(strings.Join(parts, "\x00"))
	for _, p := range parts {
		if p == "" || strings.IndexByte(p, 0) >= 0 {
			return nil, fmt.Errorf("%q cannot be part of a key", p)
		}
	}
	if len(key) > maxKey {
		return nil, fmt.Errorf("key of %d bytes is longer than %d", len(key), maxKey)
	}
	return key, nil
}

// numberedKey is textKey followed by a number ≥ 1.
func numberedKey(number int, parts ...string) ([]byte, error) {
	if number < 1 || int64(number) > 1<<31 {
		return nil, fmt.Errorf("number %d cannot be part of a key", number)
	}
	key, err := textKey(parts...)
	if err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint32(append(key, 0), uint32(number)), nil
}

// prefixKey is the start of all keys that have these parts and at least one more.
func prefixKey(parts ...string) ([]byte, error) {
	key, err := textKey(parts...)
	if err != nil {
		return nil, err
	}
	return append(key, 0), nil
}
