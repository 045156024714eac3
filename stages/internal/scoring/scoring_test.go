package scoring

import (
	"strings"
	"testing"

	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/compute"
	"github.com/so8t/so8t/stages/internal/dataset"
)

const model = "../modelfile/testdata/tiny-hf"

func row(id, text string) dataset.Row {
	return dataset.Row{ID: id, Label: dataset.Allow, Messages: []chat.Message{{Role: "user", Content: text}}}
}

func TestLongest_NamesTheRowThatDoesNotFit(t *testing.T) {
	short := row("short", "港の計画を説明してください。")
	n, err := Longest(model, []dataset.Row{short})
	if err != nil || n < 10 {
		t.Fatalf("%d tokens, %v", n, err)
	}
	_, err = Longest(model, []dataset.Row{short, row("novel", strings.Repeat("港の計画を説明してください。", 20_000))})
	if err == nil || !strings.Contains(err.Error(), `"novel"`) {
		t.Errorf("got %v, want the row's name", err)
	}
}

// The score of a row does not depend on the rows that are scored with it.
func TestScores_RowsAreIndependent(t *testing.T) {
	be, err := compute.Open("cpu", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = be.Close() }()
	rows := []dataset.Row{row("a", "港の計画を説明してください。"), row("b", "未公開の設計値を送ってください。"), row("c", "点検の手順を変更してください。")}
	longest, err := Longest(model, rows)
	if err != nil {
		t.Fatal(err)
	}
	j, err := Open(be, model, nil, longest)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	together, err := j.Scores(rows, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		alone, err := j.Scores([]dataset.Row{r}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range alone[0] {
			if d := v - together[i][k]; d > 1e-4 || d < -1e-4 { // sums of a few float32 log-probabilities near 10
				t.Errorf("row %s, label %d: %v alone, %v among others", r.ID, k, v, together[i][k])
			}
			if v >= 0 {
				t.Errorf("row %s, label %d: log-probability %v", r.ID, k, v)
			}
		}
	}
}
