package workflow

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"sync"
)

// A counted repeat makes a short pattern a large program, of 40 bytes an instruction, so what the
// patterns of one workflow may come to is bounded.
const (
	maxPatternText  = 1000       // bytes
	maxInstructions = 200_000    // of all patterns of a workflow, about
	maxMatch        = 20_000_000 // instructions times bytes that are matched
)

var errPatternSize = errors.New("too large a pattern")

// pattern is an RE2 expression of a user.
type pattern struct {
	*regexp.Regexp
	instructions int // about
}

// takesLong: matching the text is work without end.
func (p *pattern) takesLong(text string) bool {
	return p.instructions*len(text) > maxMatch
}

// compilePattern compiles an RE2 expression. An error that is errPatternSize says that it is too
// large, any other what is wrong with it.
func (d *document) compilePattern(text string) (*pattern, error) {
	if len(text) > maxPatternText {
		return nil, fmt.Errorf("%w: over %d characters", errPatternSize, maxPatternText)
	}
	if d.instructions > maxInstructions {
		return nil, fmt.Errorf("%w for one workflow", errPatternSize)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := instructions(tree)
	if d.instructions += size; d.instructions > maxInstructions {
		return nil, fmt.Errorf("%w for one workflow", errPatternSize)
	}
	re, err := regexp.Compile(text)
	return &pattern{re, size}, err
}

// instructions is about how many a pattern is compiled to.
func instructions(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		n += instructions(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return n
}

// lazily compiles an expression of ours when it is first used: every process of a stage is this
// program, and most never read a workflow.
func lazily(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
