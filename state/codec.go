package state

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
)

// A value is: one byte version of the encoding, JSON, four bytes CRC32C (big-endian)
// over bucket, key, version and JSON. The key is in it so that a value found under
// another key is noticed too; bbolt's own check sees neither.
const (
	codecVersion = 1
	crcSize      = 4
)

// Its table is made when it is first used: every process of a stage links this package.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

var errCodec = errors.New("value does not match its checksum")

func valueCRC(bucket, key, body []byte) uint32 {
	crc := crc32.Update(0, castagnoli(), bucket)
	crc = crc32.Update(crc, castagnoli(), []byte{0})
	crc = crc32.Update(crc, castagnoli(), key)
	crc = crc32.Update(crc, castagnoli(), []byte{0})
	return crc32.Update(crc, castagnoli(), body)
}

// marshal is json.Marshal but for < > and &, which it leaves as they are: a raw value in a record
// keeps its bytes, by which the parts of fingerprints are compared.
func marshal(record any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(record)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func encodeValue(bucket, key []byte, record any) ([]byte, error) {
	doc, err := marshal(record)
	if err != nil {
		return nil, fmt.Errorf("encoding a record of %s: %w", bucket, err)
	}
	return sealValue(bucket, key, doc), nil
}

func sealValue(bucket, key, doc []byte) []byte {
	value := make([]byte, 0, len(doc)+1+crcSize)
	value = append(value, codecVersion)
	value = append(value, doc...)
	return binary.BigEndian.AppendUint32(value, valueCRC(bucket, key, value))
}

// jsonOf is the JSON of a sealed value, which it aliases.
func jsonOf(value []byte) []byte { return value[1 : len(value)-crcSize] }

// openValue checks value and returns its JSON, which aliases it.
func openValue(bucket, key, value []byte) ([]byte, error) {
	if len(value) < 1+crcSize {
		return nil, errCodec
	}
	body := value[:len(value)-crcSize]
	if binary.BigEndian.Uint32(value[len(body):]) != valueCRC(bucket, key, body) {
		return nil, errCodec
	}
	if body[0] != codecVersion {
		return nil, fmt.Errorf("value has encoding version %d, not %d", body[0], codecVersion)
	}
	return body[1:], nil
}

// decodeValue checks value and fills record; nothing in record aliases value.
func decodeValue(bucket, key, value []byte, record any) error {
	doc, err := openValue(bucket, key, value)
	if err != nil {
		return err
	}
	return json.Unmarshal(doc, record)
}
