package ngram

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
)

// A label that a word decides is learned; labels without meaning are not.
func TestFit_LearnsWordsAndNothingFromNoise(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	const n, train = 400, 300
	texts, byWord, noise := make([]string, n), make([]int, n), make([]int, n)
	for i := range texts {
		byWord[i], noise[i] = i%2, random.IntN(2)
		texts[i] = fmt.Sprintf("第%d号の%c%c書類%s", i, 'あ'+random.IntN(80), 'ア'+random.IntN(80), []string{"を見る。", "を消す。"}[byWord[i]])
	}
	share := func(labels []int) float64 {
		m := Fit(texts[:train], labels[:train], 2)
		right := 0.0
		for i := train; i < n; i++ {
			if p := m.Probs(texts[i]); (p[1] > p[0]) == (labels[i] == 1) {
				right++
			}
		}
		return right / (n - train)
	}
	if got := share(byWord); got < 0.98 {
		t.Errorf("a label that a word decides: %v", got)
	}
	if got := share(noise); got > 0.65 {
		t.Errorf("labels without meaning: %v on texts that were not seen", got)
	}
}

func TestFit_SameInputSameModel(t *testing.T) {
	texts, labels := []string{"あいう", "えおか", "あえい", "おいう"}, []int{0, 1, 0, 2}
	if a, b := Fit(texts, labels, 3), Fit(texts, labels, 3); !reflect.DeepEqual(a, b) {
		t.Error("two fits differ")
	}
}
