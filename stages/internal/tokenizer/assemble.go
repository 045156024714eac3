package tokenizer

import "fmt"

// Assemble makes a tokenizer of the parts that a GGUF file carries: the name of its
// pre-tokenizer there ("gpt-4o", "gpt-2"), the vocabulary as tokenizer.json spells it, the
// merges in order of rank and the added tokens.
func Assemble(pre string, vocab map[string]int32, merges [][2]string, added []AddedToken) (*Tokenizer, error) {
	pattern, known := map[string]string{"gpt-4o": patternO200k, "gpt-2": patternGPT2}[pre]
	if !known {
		return nil, fmt.Errorf("pre-tokenizer %q is not known (gpt-4o and gpt-2 are)", pre)
	}
	split, err := splitterFor(pattern)
	if err != nil {
		return nil, err
	}
	return build(vocab, merges, added, split, false)
}
