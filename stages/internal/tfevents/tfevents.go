// Package tfevents writes the event files that TensorBoard reads: scalars only.
//
// A file is a sequence of records: the length of the data (8 bytes, little-endian), a checksum
// of those 8 bytes, the data, a checksum of the data. The data is a protobuf message Event; the
// first one names the format's version. TensorBoard follows a file that grows and ignores a
// record that is cut short at its end, so a crash costs the last record.
package tfevents

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"sync"
)

// Scalar is one value of a chart.
type Scalar struct {
	Tag   string
	Value float64
}

// Field numbers of Event, Summary and Summary.Value, each with its wire type in the low bits.
const (
	eventTime    = 1<<3 | 1 // double, seconds since 1970
	eventStep    = 2 << 3   // varint, wire type 0
	eventVersion = 3<<3 | 2 // string
	eventSummary = 5<<3 | 2 // message
	summaryValue = 1<<3 | 2 // message, repeated
	valueTag     = 1<<3 | 2 // string
	valueSimple  = 2<<3 | 5 // float
)

// WriteHeader begins a file.
func WriteHeader(w io.Writer, time float64) error {
	return writeRecord(w, appendBytes(appendTime(nil, time), eventVersion, []byte("brain.Event:2")))
}

// WriteScalars appends the values of one step.
func WriteScalars(w io.Writer, time float64, step int64, values []Scalar) error {
	var summary []byte
	for _, v := range values {
		one := appendBytes(nil, valueTag, []byte(v.Tag))
		one = binary.LittleEndian.AppendUint32(append(one, valueSimple), math.Float32bits(float32(v.Value)))
		summary = appendBytes(summary, summaryValue, one)
	}
	event := binary.AppendUvarint(append(appendTime(nil, time), eventStep), uint64(step))
	return writeRecord(w, appendBytes(event, eventSummary, summary))
}

func appendTime(b []byte, time float64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, eventTime), math.Float64bits(time))
}

func appendBytes(b []byte, field byte, data []byte) []byte {
	return append(binary.AppendUvarint(append(b, field), uint64(len(data))), data...)
}

// writeRecord makes one call of Write.
func writeRecord(w io.Writer, data []byte) error {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, checksum(b))
	b = append(b, data...)
	b = binary.LittleEndian.AppendUint32(b, checksum(data))
	_, err := w.Write(b)
	return err
}

// Its table is made when it is first used: every process of a stage links this package.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// checksum is CRC-32C, turned and shifted by a constant so that the checksum of data that
// holds checksums stays useful.
func checksum(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli())
	return (c>>15 | c<<17) + 0xa282ead8
}
