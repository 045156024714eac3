package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// merged is the definition of the encoding of a text that is one piece.
func merged(t *Tokenizer, text string) []int32 {
	var m merger
	m.merge(t.merges, &t.bytes, []byte(text))
	return m.ids
}

func wholeText(text string) int { return len(text) }

// randomTokenizer has n merges of a few letters, in an order in which parts can come after what is made of
// them, and the same token can be made in several ways.
func randomTokenizer(t testing.TB, rng *rand.Rand, letters string, n int) *Tokenizer {
	t.Helper()
	vocab := map[string]int32{}
	for b, r := range byteRune {
		vocab[string(r)] = int32(b)
	}
	tokens := strings.Split(letters, "")
	var merges [][2]string
	known := map[[2]string]bool{}
	for range n {
		m := [2]string{tokens[rng.IntN(len(tokens))], tokens[rng.IntN(len(tokens))]}
		if known[m] || len(m[0]+m[1]) > 9 {
			continue
		}
		known[m] = true
		merges = append(merges, m)
		if _, ok := vocab[m[0]+m[1]]; !ok {
			vocab[m[0]+m[1]] = int32(len(vocab))
			tokens = append(tokens, m[0]+m[1])
		}
	}
	if rng.IntN(3) > 0 {
		rng.Shuffle(len(merges), func(i, j int) { merges[i], merges[j] = merges[j], merges[i] })
	}
	tok, err := build(vocab, merges, nil, wholeText, false)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// The encoder must give what merging gives for any merges: those of real vocabularies seldom make it go back.
func TestEncode_RandomMerges_AsMergingDefines(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	uneven := 0
	for round := range 400 {
		letters := "abc"[:1+round%3]
		tok := randomTokenizer(t, rng, letters, 3+rng.IntN(40))
		for _, f := range tok.forms {
			if !f.even {
				uneven++
			}
		}
		for range 50 {
			text := make([]byte, 1+rng.IntN(90))
			for i := range text {
				text[i] = letters[rng.IntN(len(letters))]
			}
			if got, want := tok.Encode(string(text)), merged(tok, string(text)); !slices.Equal(got, want) {
				t.Fatalf("%q with merges %v: %v, merging gives %v", text, tok.mergeTexts, got, want)
			}
		}
	}
	if uneven == 0 {
		t.Error("no token was merged out of the order of ranks: the test tests half of it")
	}
}

func FuzzEncode_AsMergingDefines(f *testing.F) {
	tok := open(f, "testdata/phi4")
	tok.split = wholeText
	for _, text := range []string{"判定: ESCALATION\n理由: がぎ's 123  \n\n x", strings.Repeat("あ", 70), "\xff\xe3\x81\xe3\x81\x82 aaaaaaa"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			return
		}
		if got, want := tok.Encode(text), merged(tok, text); !slices.Equal(got, want) {
			t.Fatalf("%q: %v, merging gives %v", text, got, want)
		}
	})
}

// Work is counted, not time: the tokens looked at and the merges undone.
func TestEncode_LongLines_WorkGrowsWithTheLength(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for name, tok := range map[string]*Tokenizer{"phi4": open(t, "testdata/phi4"), "one letter": randomTokenizer(t, rng, "a", 12), "two letters": randomTokenizer(t, rng, "ab", 60)} {
		for _, unit := range []string{"a", "ab", "あ", "資", " ", "!", "aaab", "\xe3"} {
			work := func(size int) int {
				var e encoder
				line := strings.Repeat(unit, size/len(unit))
				if ids := e.piece(tok, line, nil); len(ids) == 0 {
					t.Fatalf("%s: nothing came of %q", name, unit)
				}
				return e.work
			}
			if short, long := work(1<<14), work(1<<20); long > 70*short || long > 64<<20 {
				t.Errorf("%s: a line of %q: %d steps for 16 KiB, %d for 1 MiB", name, unit, short, long)
			}
		}
	}
}

func TestEncode_IgnoreMerges_APieceThatIsATokenIsThatToken(t *testing.T) {
	vocab := map[string]int32{}
	for b, r := range byteRune {
		vocab[string(r)] = int32(b)
	}
	vocab["ab"], vocab["abc"] = 300, 301 // nothing makes abc
	for _, c := range []struct {
		ignore bool
		text   string
		want   []int32
	}{
		{false, "abc", []int32{300, 'c'}}, {true, "abc", []int32{301}}, {true, "ab", []int32{300}}, {true, "abcd", []int32{300, 'c', 'd'}},
	} {
		tok, err := build(vocab, [][2]string{{"a", "b"}}, nil, wholeText, c.ignore)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q with ignore_merges %t: %v, want %v", c.text, c.ignore, got, c.want)
		}
	}
}
