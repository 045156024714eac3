package tokenizer

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkPeers encodes the same Japanese text with the same vocabulary on one thread: this package, tiktoken
// and Hugging Face's tokenizers, in turns, and prints the best rate of each. The ids must be equal. Python with both
// is that of SO8T_BENCH_PYTHON. SO8T_BENCH_TOKENIZER and SO8T_BENCH_TEXT name a tokenizer.json and a
// text to use instead of the made ones.
func BenchmarkPeers(b *testing.B) {
	python := benchPython(b)
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
		{"8k tokens", func() ([]byte, error) { return Train(strings.ToValidUTF8(text[:2_000_000], ""), TrainConfig{Size: 8000, MaxBytes: 24}) }},
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
			besidePeers(b, python, tok, raw, documents)
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
	p := startPeers(b, python, file, texts)
	best := map[string]float64{"so8t": math.Inf(1)}
	digests := map[string]string{}
	total, rounds := 0, 3
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
			seconds, sum := p.round(b, peer)
			if old, ok := best[peer]; !ok || seconds < old {
				best[peer] = seconds
			}
			digests[peer] = sum
		}
	}
	for _, d := range documents {
		total += len(d)
	}
	rate := func(name string) float64 { return float64(total) / 1e6 / best[name] }
	b.Logf("%d tokens, %.1f MB in %d documents, one thread: so8t %.1f MB/s · tiktoken %.1f (%.2f ×) · tokenizers %.1f (%.2f ×)", tok.Size(), float64(total)/1e6,
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

// peers is a Python process that encodes the documents when it is asked to.
type peers struct {
	in  *bufio.Writer
	out *bufio.Scanner
}

func startPeers(b *testing.B, python, file, texts string) *peers {
	b.Helper()
	cmd := exec.Command(python, "testdata/bench/peers.py", file, texts)
	cmd.Env = append(os.Environ(), "RAYON_NUM_THREADS=1", "TOKENIZERS_PARALLELISM=false")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	return &peers{bufio.NewWriter(in), bufio.NewScanner(out)}
}

// round lets one library encode everything, and returns the time and the digest of the ids.
func (p *peers) round(b *testing.B, peer string) (seconds float64, digest string) {
	b.Helper()
	fmt.Fprintln(p.in, peer)
	if err := p.in.Flush(); err != nil {
		b.Fatal(err)
	}
	if !p.out.Scan() {
		b.Fatalf("%s gave no answer", peer)
	}
	if _, err := fmt.Sscan(p.out.Text(), &seconds, &digest); err != nil {
		b.Fatalf("%s: %q: %v", peer, p.out.Text(), err)
	}
	return seconds, digest
}

func benchPython(b *testing.B) string {
	b.Helper()
	python := os.Getenv("SO8T_BENCH_PYTHON")
	if python == "" {
		b.Skip("SO8T_BENCH_PYTHON names no Python with tiktoken and tokenizers")
	}
	if out, err := exec.Command(python, "-c", "import tiktoken, tokenizers").CombinedOutput(); err != nil {
		b.Skipf("%s has no tiktoken and tokenizers: %s", python, out)
	}
	return python
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
