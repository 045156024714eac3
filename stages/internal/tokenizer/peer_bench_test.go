package tokenizer

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/so8t/so8t/stages/internal/pytorchtest"
)

// BenchmarkPeers encodes the same Japanese text with the same vocabulary on one thread: this package, tiktoken
// and Hugging Face's tokenizers, in turns, and prints the best rate of each. The ids must be equal. SO8T_BENCH_TOKENIZER and
// SO8T_BENCH_TEXT name a tokenizer.json and a text to use instead of the made ones.
//
//	go test -run - -bench Peers -benchtime 1x -v ./stages/internal/tokenizer
func BenchmarkPeers(b *testing.B) {
	python := pytorchtest.Python(b)
	text := madeText(20_000_000)
	documents := cut(text[:strings.LastIndexByte(text[:4_000_000], '\n')+1], 4096)
	if path := os.Getenv("SO8T_BENCH_TEXT"); path != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		documents = cut(string(raw), 4096)
	}
	type vocabulary struct {
		name string
		raw  func() ([]byte, error)
	}
	vocabularies := []vocabulary{
		{"8k tokens", func() ([]byte, error) {
			return Train(strings.ToValidUTF8(text[:2_000_000], ""), TrainConfig{Size: 8000, MaxBytes: 24})
		}},
		{"200k tokens", func() ([]byte, error) { return Train(text, TrainConfig{Size: 200_000, MaxBytes: 36}) }},
	}
	if path := os.Getenv("SO8T_BENCH_TOKENIZER"); path != "" {
		vocabularies = []vocabulary{{filepath.Base(path), func() ([]byte, error) { return os.ReadFile(path) }}}
	}
	for _, v := range vocabularies {
		b.Run(v.name, func(b *testing.B) {
			raw, err := v.raw()
			if err != nil {
				b.Fatal(err)
			}
			tok, err := Parse(raw)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				besidePeers(b, python, tok, raw, documents)
			}
		})
	}
}

func besidePeers(b *testing.B, python string, tok *Tokenizer, raw []byte, documents []string) {
	dir := b.TempDir()
	file, texts := filepath.Join(dir, "tokenizer.json"), filepath.Join(dir, "texts.json")
	encoded, err := json.Marshal(documents)
	if err == nil {
		err = os.WriteFile(texts, encoded, 0o644)
	}
	if err == nil {
		err = os.WriteFile(file, raw, 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
	var ready struct{ Versions string }
	p := pytorchtest.Start(b, python, "testdata/peer.py", &ready, file, texts)
	best := map[string]float64{"so8t": math.Inf(1)}
	digests := map[string]string{}
	total, rounds := 0, 7
	var ids []int32
	for range rounds {
		digest := sha256.New()
		start := time.Now()
		for _, d := range documents {
			ids = tok.AppendEncode(ids[:0], d)
		}
		best["so8t"] = min(best["so8t"], time.Since(start).Seconds())
		for _, d := range documents {
			for _, id := range tok.Encode(d) {
				fmt.Fprintln(digest, id)
			}
		}
		digests["so8t"] = fmt.Sprintf("%x", digest.Sum(nil))
		for _, peer := range []string{"tiktoken", "tokenizers"} {
			var answer struct {
				Seconds float64
				Digest  string
			}
			if err := p.Ask(peer, &answer); err != nil {
				b.Fatal(err)
			}
			if old, ok := best[peer]; !ok || answer.Seconds < old {
				best[peer] = answer.Seconds
			}
			digests[peer] = answer.Digest
		}
	}
	for _, d := range documents {
		total += len(d)
	}
	rate := func(name string) float64 { return float64(total) / 1e6 / best[name] }
	b.Logf("%s; %d tokens, %.1f MB in %d documents, one thread: so8t %.1f MB/s · tiktoken %.1f (%.2f ×) · tokenizers %.1f (%.2f ×)", ready.Versions, tok.Size(), float64(total)/1e6,
		len(documents), rate("so8t"), rate("tiktoken"), rate("so8t")/rate("tiktoken"), rate("tokenizers"), rate("so8t")/rate("tokenizers"))
	b.ReportMetric(rate("so8t"), "MB/s")
	b.ReportMetric(rate("so8t")/rate("tiktoken"), "x-tiktoken")
	b.ReportMetric(rate("so8t")/rate("tokenizers"), "x-tokenizers")
	for name, d := range digests {
		if d != digests["so8t"] {
			b.Errorf("the ids of %s are not ours", name)
		}
	}
}

// cut makes documents of about n bytes that end with lines.
func cut(text string, n int) (documents []string) {
	for len(text) > n {
		end := n + strings.IndexByte(text[n:], '\n') + 1
		if end == n {
			break
		}
		documents = append(documents, text[:end])
		text = text[end:]
	}
	return append(documents, text)
}

// madeText is n bytes of sentences that look like Japanese: words of kanji, kana or katakana, their frequencies
// as Zipf's law has them, with particles and endings. The same bytes every time.
func madeText(n int) string {
	rng := rand.New(rand.NewPCG(20, 24))
	zipf := func(n int) int { return int(math.Pow(float64(n), rng.Float64())) - 1 }
	words := make([]string, 60_000)
	for i := range words {
		low, size := 0x4e00, 3000 // kanji
		switch rng.IntN(4) {
		case 0:
			low, size = 0x3042, 80 // hiragana
		case 1:
			low, size = 0x30a2, 80 // katakana
		}
		var w strings.Builder
		for range 1 + rng.IntN(4) {
			w.WriteRune(rune(low + zipf(size)))
		}
		words[i] = w.String()
	}
	particles := []string{"は", "が", "を", "に", "で", "と", "の", "も", "から", "まで", "について", "による"}
	endings := []string{"する。", "した。\n", "です。", "ます。\n", "である。", "ない、", "された、", "とは何か。\n", "(2024年)。", "ことができる。\n"}
	var text strings.Builder
	for text.Len() < n {
		for range 2 + rng.IntN(6) {
			text.WriteString(words[zipf(len(words))])
			text.WriteString(particles[rng.IntN(len(particles))])
		}
		text.WriteString(endings[rng.IntN(len(endings))])
	}
	return strings.ToValidUTF8(text.String()[:n], "")
}
