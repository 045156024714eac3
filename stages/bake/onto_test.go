package bake

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/stages/internal/baked"
	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/phi3"
)

// validationSet is a dataset of questions and answers.
func validationSet(t *testing.T) string {
	t.Helper()
	var rows strings.Builder
	for i := range 20 {
		fmt.Fprintf(&rows, `{"id":"r%d","messages":[{"role":"user","content":"Question %d about the report?"},{"role":"assistant","content":"判定: ALLOW\n理由 %d"}]}`+"\n", i, i*i, i*7)
	}
	path := filepath.Join(t.TempDir(), "validation.jsonl")
	if err := os.WriteFile(path, []byte(rows.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun_MergesOntoTheBaseOfTheLowerNLL(t *testing.T) {
	dir, validation := saved(t, adapter(t, open(t, base).Config)), validationSet(t)
	tensor := map[string]string{}
	for _, onto := range []string{"auto", baked.Original, baked.Dequantised} {
		_, r, result, err := run(t, map[string]any{"base": base, "adapter": dir, "storage": "nf4", "merge_onto": onto, "validation": validation})
		if err != nil {
			t.Fatal(err)
		}
		o := r.MergedOnto
		if o.NLLOriginal == nil || o.NLLDequantised == nil || *o.NLLOriginal == *o.NLLDequantised || o.ValidationTokens < 100 {
			t.Fatalf("%s: %+v", onto, o)
		}
		if result.Metrics["nll_original"] != *o.NLLOriginal || result.Metrics["nll_dequantised"] != *o.NLLDequantised {
			t.Errorf("metrics %v", result.Metrics)
		}
		want := onto
		if onto == "auto" {
			want = baked.Original
			if *o.NLLDequantised < *o.NLLOriginal {
				want = baked.Dequantised
			}
		}
		if o.Base != want {
			t.Errorf("%s: merged onto %s of %v and %v", onto, o.Base, *o.NLLOriginal, *o.NLLDequantised)
		}
		if r.Proof.RelativeError > 1e-5 {
			t.Errorf("%s: the proof compares with another base: %v", onto, r.Proof.RelativeError)
		}
		tensor[onto] = r.Tensors["model.layers.0.mlp.down_proj.weight"]
	}
	if tensor[baked.Original] == tensor[baked.Dequantised] {
		t.Error("both bases give the same weights")
	}
}

// The figures are those of the exported folders, measured another way.
func TestChooser_MeasuresTheExportedModel(t *testing.T) {
	folder, validation := open(t, base), validationSet(t)
	template, err := chat.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	e, err := readExamples(validation, template, folder.Config)
	if err != nil {
		t.Fatal(err)
	}
	out, r, _, err := run(t, map[string]any{"base": base, "adapter": saved(t, adapter(t, folder.Config)), "storage": "int8", "merge_onto": baked.Original, "validation": validation})
	if err != nil {
		t.Fatal(err)
	}
	total, V := 0.0, folder.Config.Vocab
	all := logits(t, cpu(t), open(t, filepath.Join(out, "model")), nil, e.seqs)
	for _, next := range e.next {
		for _, target := range next {
			row := all[:V]
			all = all[V:]
			if target < 0 {
				continue
			}
			sum := 0.0
			for _, v := range row {
				sum += math.Exp(float64(v))
			}
			total += math.Log(sum) - float64(row[target])
		}
	}
	if want := total / float64(e.targets); math.Abs(*r.MergedOnto.NLLOriginal-want) > 1e-5 {
		t.Errorf("NLL %v, expected %v", *r.MergedOnto.NLLOriginal, want)
	}
}

func TestChoose_WithoutMeasuring(t *testing.T) {
	folder := open(t, base)
	for _, c := range []struct{ storage, onto, want string }{
		{"native", "auto", baked.Original}, {"bf16", "auto", baked.Original}, {"native", baked.Dequantised, baked.Original},
		{"int8", "auto", baked.Dequantised}, {"int8", baked.Original, baked.Original},
	} {
		source, o, err := chooser{config: Config{Storage: c.storage, MergeOnto: c.onto}, folder: folder}.choose(t.Context())
		if err != nil || o.Base != c.want || o.Reason == "" || (source == phi3.Source(folder)) != (c.want == baked.Original) {
			t.Errorf("%+v gives %+v, %v", c, o, err)
		}
	}
}

func TestLogSums_InPieces(t *testing.T) {
	rows := [][]float32{{1, 2, -3, 0.5}, {-80, 90, 88, 1}, {0, 0, 0, 0}}
	next := []int32{3, 2, -1}
	want := 0.0
	for i, row := range rows[:2] {
		sum := 0.0
		for _, v := range row {
			sum += math.Exp(float64(v))
		}
		want += math.Log(sum) - float64(row[next[i]])
	}
	for _, step := range []int{1, 2, 3, 4} {
		s := newLogSums(1, next)
		for first := 0; first < 4; first += step {
			n := min(step, 4-first)
			var part []float32
			for _, row := range rows {
				part = append(part, row[first:first+n]...)
			}
			if err := s.add(first, n, [][]float32{part}); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.total(0); math.Abs(got-want) > 1e-9 {
			t.Errorf("in pieces of %d: %v, expected %v", step, got, want)
		}
	}
}

func TestReadExamples(t *testing.T) {
	folder := open(t, base)
	template, err := chat.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	e, err := readExamples(validationSet(t), template, folder.Config)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, b := range e.batches() {
		if len(b.next) > batchTokens {
			t.Errorf("%d tokens at once", len(b.next))
		}
		rows += len(b.seqs)
	}
	if rows != len(e.seqs) || rows < 10 {
		t.Errorf("%d of %d rows are in batches", rows, len(e.seqs))
	}
	empty := filepath.Join(t.TempDir(), "empty.jsonl")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, empty + "x"} {
		if _, err := readExamples(path, template, folder.Config); plugins.CodeOf(err) != plugins.BadInput {
			t.Errorf("%s: %v", path, err)
		}
	}
}
