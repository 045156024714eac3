package tfevents

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"
)

func TestChecksum_KnownVector(t *testing.T) {
	// CRC-32C of "123456789" is 0xe3069283 (RFC 3720's polynomial).
	if c := checksum([]byte("123456789")); c != 0xc78ab0e5 {
		t.Errorf("%#x", c)
	}
}

// A file read field by field as TensorBoard's own reader does (checked once with
// TensorBoard 2.21: it shows the same steps, tags and values).
func TestFile_HasTheRecordsThatTensorBoardReads(t *testing.T) {
	var b bytes.Buffer
	if err := WriteHeader(&b, 1.5); err != nil {
		t.Fatal(err)
	}
	if err := WriteScalars(&b, 2.5, 300, []Scalar{{"loss", 0.25}, {"lr", 1e-4}}); err != nil {
		t.Fatal(err)
	}
	var events [][]byte
	for rest := b.Bytes(); len(rest) > 0; {
		n := binary.LittleEndian.Uint64(rest)
		if binary.LittleEndian.Uint32(rest[8:]) != checksum(rest[:8]) {
			t.Fatal("checksum of the length")
		}
		data := rest[12 : 12+n]
		if binary.LittleEndian.Uint32(rest[12+n:]) != checksum(data) {
			t.Fatal("checksum of the data")
		}
		events = append(events, data)
		rest = rest[16+n:]
	}
	if len(events) != 2 {
		t.Fatalf("%d records", len(events))
	}
	for i, want := range []string{
		"09" + "000000000000f83f" + "1a0d" + hex.EncodeToString([]byte("brain.Event:2")),
		"09" + "0000000000000440" + "10ac02" + "2a18" +
			"0a0b" + "0a04" + hex.EncodeToString([]byte("loss")) + "15" + float32Hex(0.25) +
			"0a09" + "0a02" + hex.EncodeToString([]byte("lr")) + "15" + float32Hex(1e-4),
	} {
		if got := hex.EncodeToString(events[i]); got != want {
			t.Errorf("event %d\n%s, want\n%s", i, got, want)
		}
	}
}

func float32Hex(v float32) string {
	return hex.EncodeToString(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
}
