package synthetic

import (
	"fmt"

	"github.com/so8t/so8t/stages/internal/chat"
	"github.com/so8t/so8t/stages/internal/tokenizer"
)

// Distances from the end of Phi-4-mini's vocabulary: of what no token has, of <|endoftext|> and
// of <|endofprompt|>, which the other control tokens follow.
const (
	pastBPE   = 66
	endOfText = 65
	control   = 46
)

// vocabulary is a tokenizer.json with the control tokens where Phi-4-mini has them and as many
// byte pairs before them: the characters of U+3000 to U+9FFF, then strings of small letters.
func vocabulary(size int) ([]byte, error) {
	if size < 256+pastBPE {
		return nil, fmt.Errorf("a vocabulary of %d ids is too small: %d at least", size, 256+pastBPE)
	}
	g := grown{want: size - pastBPE}
	for b := range 256 {
		g.tokens = append(g.tokens, string([]byte{byte(b)}))
	}
	g.grow(0xe3, 0xe9, [][2]byte{{0x80, 0xbf}, {0x80, 0xbf}})
	letters := [2]byte{'a', 'z'}
	g.grow('a', 'z', [][2]byte{letters, letters, letters, letters})
	if len(g.tokens) < g.want {
		return nil, fmt.Errorf("a vocabulary of %d ids is too large", size)
	}
	var added []tokenizer.AddedToken
	for i, token := range chat.ControlTokens {
		id := size - control + i - 1
		if token == chat.EndOfText {
			id = size - endOfText
		}
		added = append(added, tokenizer.AddedToken{ID: int32(id), Content: token, Special: true})
	}
	return tokenizer.EncodeFile(g.tokens, g.merges, added)
}

// grown are tokens, each of which is a shorter one and a byte.
type grown struct {
	tokens []string
	merges [][2]string
	want   int
}

// grow adds all strings that begin with one of the bytes first to last and go on with bytes of the
// ranges behind, shorter ones first.
func (g *grown) grow(first, last byte, behind [][2]byte) {
	var stems []string
	for b := first; b <= last; b++ {
		stems = append(stems, string([]byte{b}))
	}
	for _, next := range behind {
		var longer []string
		for _, stem := range stems {
			for b := next[0]; b <= next[1]; b++ {
				if len(g.tokens) == g.want {
					return
				}
				end := string([]byte{b})
				longer = append(longer, stem+end)
				g.tokens, g.merges = append(g.tokens, stem+end), append(g.merges, [2]string{stem, end})
			}
		}
		stems = longer
	}
}
