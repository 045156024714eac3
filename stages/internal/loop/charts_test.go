package loop

import (
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The table and the events have a line for each step, in order, also after the run went back
// or was continued from a checkpoint.
func TestRun_ChartsFollowTheMetrics(t *testing.T) {
	m := newToy(t, 0)
	r := toyRun(t, m, m.be, 30)
	r.Settings.Explode, r.Settings.Rollbacks = 5, 2
	r.Model = &scaled{Model: m, at: 25, by: 100, times: 2}
	into := t.TempDir()
	r.Save, r.Every, r.Now, r.Charts = saver(t, into), 7*time.Second, ticking(), t.TempDir()
	if _, err := r.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkCharts(t, r)

	dirs, err := filepath.Glob(filepath.Join(into, "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("checkpoints %v, %v", dirs, err)
	}
	again := newToy(t, 0)
	r2 := toyRun(t, again, again.be, 30)
	r2.Settings, r2.Resume, r2.Charts = r.Settings, dirs[0], t.TempDir()
	if _, err := r2.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkCharts(t, r2)
}

func checkCharts(t *testing.T, r *Run) {
	t.Helper()
	table, err := csv.NewReader(strings.NewReader(mustRead(t, filepath.Join(r.Charts, chartTable)))).ReadAll()
	if err != nil || len(table) != 31 {
		t.Fatalf("%d lines, %v", len(table), err)
	}
	for i, line := range strings.Split(strings.TrimSpace(mustRead(t, r.Metrics)), "\n") {
		var p map[string]float64
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		for c, name := range table[0] {
			cell := table[i+1][c]
			want, ok := p[name]
			if got, err := strconv.ParseFloat(cell, 64); ok != (cell != "") || ok && (err != nil || got != want) {
				t.Errorf("line %d: %s is %q, in the metrics %v", i+1, name, cell, want)
			}
		}
		if p["memory_bytes"] <= 0 || p["time"] < 0 || (p["eta_seconds"] > 0) != (i < 29) {
			t.Errorf("line %d: %v", i+1, p)
		}
	}
	records, rest := 0, []byte(mustRead(t, filepath.Join(r.Charts, chartEvents)))
	for ; len(rest) > 0; records++ {
		rest = rest[16+binary.LittleEndian.Uint64(rest):]
	}
	if records != 31 { // the first says what the file is
		t.Errorf("%d events", records)
	}
}
