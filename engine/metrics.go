package engine

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/so8t/so8t/plugins"
)

// metricsFile takes every value an attempt reports, a JSON object a line. It is not synced: the
// curve of an attempt that a power cut ends is made again from its checkpoint on.
type metricsFile struct {
	path    string
	file    *os.File
	buffer  *bufio.Writer
	flushed time.Time
}

// metricLine is one line. JSON has no NaN and no infinities: they are text.
type metricLine struct {
	Name  string `json:"name"`
	Step  int64  `json:"step"`
	Value any    `json:"value"`
}

func newMetricsFile(path string) *metricsFile { return &metricsFile{path: path} }

// flushEvery bounds how old what a reader sees can be while values come.
const flushEvery = 250 * time.Millisecond

func (m *metricsFile) add(v plugins.Metric) error {
	if m.file == nil {
		f, err := os.OpenFile(m.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
		if err != nil {
			return err
		}
		m.file, m.buffer = f, bufio.NewWriter(f)
	}
	line, err := json.Marshal(metricLine{v.Name, v.Step, jsonFloat(v.Value)})
	if err != nil {
		return err
	}
	if _, err := m.buffer.Write(append(line, '\n')); err != nil {
		return err
	}
	if now := time.Now(); now.Sub(m.flushed) >= flushEvery {
		m.flushed = now
		return m.buffer.Flush()
	}
	return nil
}

func (m *metricsFile) close() error {
	if m.file == nil {
		return nil
	}
	err := m.buffer.Flush()
	if closeErr := m.file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// jsonFloat is v, or its text when JSON cannot hold it.
func jsonFloat(v float64) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return v
}
