package dataset

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/so8t/so8t/stages/internal/chat"
)

func prompts(texts ...string) []Row {
	var rows []Row
	for _, s := range texts {
		rows = append(rows, Row{Messages: []chat.Message{{Role: "user", Content: s}}})
	}
	return rows
}

func TestClusters_AlikeTogether(t *testing.T) {
	rows := prompts("会議室の予約を取り消す手順を教えてください。", "台車の点検で最初に見る箇所は？", "会議室の予約を取り消す手順を教えて下さい。",
		"会議室の予約を取り消す手順をお教えください。", "棚卸しの数が合いません。", "全く別の話です。", "あ")
	rows[4].Template, rows[5].Template = "t", "t"
	for i := range 13 { // so that none of the above is too large
		rows = append(rows, prompts(string([]rune{'一' + rune(40*i), '丁' + rune(40*i), '七' + rune(40*i)}))...)
	}
	got, limit := Clusters(rows)
	if want := []int{0, 1, 0, 0, 2, 2, 3}; !slices.Equal(got[:7], want) || limit != 0.6 {
		t.Errorf("clusters %v at %g, want %v", got, limit, want)
	}
}

// Rows of one template are all alike; a stricter limit leaves something to split.
func TestClusters_OneTemplate_StricterLimit(t *testing.T) {
	var texts []string
	for i := range 100 {
		texts = append(texts, "会議室の予約を取り消す手順を教えてください。番号は"+string([]rune{'一' + rune(i*7), '丁' + rune(i*31)})+"です。")
	}
	got, limit := Clusters(prompts(texts...))
	if n := slices.Max(got) + 1; n < 5 || limit <= 0.6 {
		t.Errorf("%d clusters at %g", n, limit)
	}
}

// The index must find what comparing every pair finds.
func TestSimilarPairs_SameAsComparingAll(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var sets []gramSet
	for range 300 {
		r := make([]rune, 3+rng.IntN(30))
		for i := range r {
			r[i] = 'あ' + rune(rng.IntN(4))
		}
		sets = append(sets, newGramSet(string(r)))
	}
	for _, limit := range []float64{0.5, 0.6, 0.85, 1} {
		found := map[[2]int]bool{}
		similarPairs(sets, limit, func(i, j int, _ float64) { found[[2]int{i, j}] = true })
		n := 0
		for i := range sets {
			for j := range i {
				if jaccard(sets[i], sets[j], 0) >= limit {
					n++
					if !found[[2]int{i, j}] {
						t.Fatalf("limit %g: pair %d, %d was not found", limit, i, j)
					}
				}
			}
		}
		if n != len(found) || n == 0 {
			t.Errorf("limit %g: %d pairs found, %d there", limit, len(found), n)
		}
	}
}
