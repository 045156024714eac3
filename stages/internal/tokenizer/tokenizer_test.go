package tokenizer

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// testdata/phi4 and testdata/tiny-hf hold ids made with Hugging Face tokenizers 0.23.3.

func open(t testing.TB, path string) *Tokenizer {
	t.Helper()
	tok, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

type phi4Cases struct {
	Cases []struct {
		Category, Text     string
		IDs                []int32
		IDsSplitSpecial    []int32 `json:"ids_split_special"`
		IDsRaw             []int32 `json:"ids_raw"`
		Pieces             []string
		Decoded            string
		DecodedSkipSpecial string `json:"decoded_skip_special"`
		DecodedRaw         string `json:"decoded_raw"`
	}
	PartialDecodes []struct {
		IDs     []int32
		Decoded string
	} `json:"partial_decodes"`
}

func TestEncode_FixtureCases_SameIDsAsHuggingFace(t *testing.T) {
	var c phi4Cases
	readJSON(t, "testdata/phi4/cases.json", &c)
	for _, file := range []string{"tokenizer.json", "tokenizer.legacy.json"} {
		tok := open(t, "testdata/phi4/"+file)
		for _, x := range c.Cases {
			if got := tok.Pieces(x.Text); !slices.Equal(got, x.Pieces) {
				t.Errorf("%s %q: pieces %q, want %q", x.Category, x.Text, got, x.Pieces)
			}
			for _, e := range []struct {
				name      string
				got, want []int32
			}{
				{"raw", tok.Encode(x.Text), x.IDsRaw},
				{"special", tok.EncodeSpecial(x.Text), x.IDs},
				{"split special", tok.EncodeSplitSpecial(x.Text), x.IDsSplitSpecial},
			} {
				if !slices.Equal(e.got, e.want) {
					t.Errorf("%s %q %s: %v, want %v", x.Category, x.Text, e.name, e.got, e.want)
				}
			}
			for _, e := range [][2]string{
				{tok.Decode(x.IDs), x.Decoded}, {tok.DecodeSkipSpecial(x.IDs), x.DecodedSkipSpecial}, {tok.Decode(x.IDsRaw), x.DecodedRaw},
			} {
				if e[0] != e[1] {
					t.Errorf("%s: decoded %q, want %q", x.Category, e[0], e[1])
				}
			}
		}
		for _, x := range c.PartialDecodes {
			if got := tok.Decode(x.IDs); got != x.Decoded {
				t.Errorf("decoding %v: %q, want %q", x.IDs, got, x.Decoded)
			}
		}
	}
	if len(c.Cases) != 375 || len(c.PartialDecodes) == 0 {
		t.Errorf("%d cases, %d partial ones", len(c.Cases), len(c.PartialDecodes))
	}
}

func TestEncode_TinyModel_SameIDsAsHuggingFace(t *testing.T) {
	type text struct {
		Text string
		IDs  []int32
	}
	var c struct{ Plain, Chat []text }
	readJSON(t, "testdata/tiny-hf/cases.json", &c)
	tok := open(t, "testdata/tiny-hf")
	for _, x := range c.Plain {
		if got := tok.Encode(x.Text); !slices.Equal(got, x.IDs) {
			t.Errorf("%q: %v, want %v", x.Text, got, x.IDs)
		}
	}
	for _, x := range c.Chat {
		if got := tok.EncodeSpecial(x.Text); !slices.Equal(got, x.IDs) {
			t.Errorf("%q: %v, want %v", x.Text, got, x.IDs)
		}
	}
	if len(c.Plain) != 317 || len(c.Chat) != 20 {
		t.Errorf("%d and %d cases", len(c.Plain), len(c.Chat))
	}
}

// Both merge loops must agree on any text; the fixtures seldom reach the long one.
func TestMerge_LongAndShort_Agree(t *testing.T) {
	tok := open(t, "testdata/phi4")
	rng := rand.New(rand.NewPCG(1, 2))
	var c phi4Cases
	readJSON(t, "testdata/phi4/cases.json", &c)
	for range 200 {
		var sb strings.Builder
		for sb.Len() < 60+rng.IntN(400) {
			text := []rune(c.Cases[rng.IntN(len(c.Cases))].Text)
			if len(text) > 0 {
				i := rng.IntN(len(text))
				sb.WriteString(string(text[i:min(len(text), i+1+rng.IntN(12))]))
			}
		}
		var short, long merger
		for i := range sb.Len() {
			short.ids = append(short.ids, tok.bytes[sb.String()[i]])
		}
		long.ids = slices.Clone(short.ids)
		short.mergeShort(tok.merges)
		long.mergeLong(tok.merges)
		if !slices.Equal(short.ids, long.ids) {
			t.Fatalf("%q: %v and %v", sb.String(), short.ids, long.ids)
		}
	}
}

func TestParse_NotUnderstood_RefusedByName(t *testing.T) {
	raw, err := os.ReadFile("testdata/phi4/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`\\p{N}{1,3}`, `\\p{N}{1,4}`, `\p{N}{1,4}`},
		{`"normalizer":null`, `"normalizer":{"type":"NFC"}`, "NFC"},
		{`"type":"BPE"`, `"type":"Unigram"`, "Unigram"},
		{`"byte_fallback":false`, `"byte_fallback":true`, "byte_fallback"},
		{`"dropout":null`, `"dropout":0.1`, "dropout"},
		{`"!":0,`, ``, "0x21"},
		{`"!":0,`, `"!":1,`, "id 1"},
		{`"!":0,`, `"!":-1,`, "-1"},
		{`"!":0,`, `"!":2000000000,`, "2000000000"},
		{`"behavior":"Removed"`, `"behavior":"MergedWithNext"`, "MergedWithNext"},
		{`"decoder":{"type":"ByteLevel"`, `"decoder":{"type":"Metaspace"`, "Metaspace"},
	} {
		text := strings.Replace(string(raw), c.old, c.new, 1)
		if text == string(raw) {
			t.Fatalf("%s is not in the file", c.old)
		}
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not name %s", c.new, err, c.want)
		}
	}
}

func FuzzEncode_Decode_GivesTheTextBack(f *testing.F) {
	tok := open(f, "testdata/phi4")
	f.Add("判定: ESCALATION\n理由: がぎ's 123  \n\n x")
	f.Add("\xff\xe3\x81")
	f.Fuzz(func(t *testing.T, text string) {
		if got := string(tok.DecodeBytes(tok.Encode(text))); got != text {
			t.Fatalf("%q came back as %q", text, got)
		}
	})
}

func BenchmarkEncode_Japanese(b *testing.B) {
	tok := open(b, "testdata/phi4")
	text := strings.Repeat("港の荷役計画とは何か。船の入港時刻と岸壁の空きに合わせて積み降ろしの順番を決める作業です。\n", 200)
	b.SetBytes(int64(len(text)))
	var ids []int32
	for b.Loop() {
		ids = tok.AppendEncode(ids[:0], text)
	}
}

// One line without a break: near-linear, so the rate must not depend on its length.
func BenchmarkEncode_LongLine(b *testing.B) {
	tok := open(b, "testdata/phi4")
	text := strings.Repeat("資格者の判断が要るためあ", 30_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Encode(text)
	}
}
