package chat

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// expression computes a value.
type expression func(v *scope) (any, error)

var lexeme = regexp.MustCompile(`(?s)^(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[0-9]+|[A-Za-z_][A-Za-z0-9_]*|==|!=|[-+~()\[\].|,])`)

// expressionParser reads the words of one expression.
type expressionParser struct {
	words []string
	at    int
}

// parseExpression reads a value, parseCondition one that is no choice: what stands in an if.
func parseExpression(text string) (expression, error) { return parse(text, (*expressionParser).chosen) }
func parseCondition(text string) (expression, error)  { return parse(text, (*expressionParser).either) }

func parse(text string, whole func(*expressionParser) (expression, error)) (expression, error) {
	p := &expressionParser{}
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		w := lexeme.FindString(rest)
		if w == "" {
			return nil, fmt.Errorf("%q is not understood", clip(rest, 40))
		}
		p.words = append(p.words, w)
		rest = rest[len(w):]
	}
	e, err := whole(p)
	if err == nil && p.at < len(p.words) {
		err = fmt.Errorf("%q is not supported", p.words[p.at])
	}
	return e, err
}

func (p *expressionParser) peek() string {
	if p.at < len(p.words) {
		return p.words[p.at]
	}
	return ""
}

// take reads a word when it comes next.
func (p *expressionParser) take(w string) bool {
	if p.peek() != w {
		return false
	}
	p.at++
	return true
}

// chosen is A if B else C.
func (p *expressionParser) chosen() (expression, error) {
	then, err := p.either()
	if err != nil || !p.take("if") {
		return then, err
	}
	condition, err := p.either()
	if err != nil {
		return nil, err
	}
	otherwise := expression(func(*scope) (any, error) { return undefined{}, nil })
	if p.take("else") {
		otherwise, err = p.chosen()
	}
	return func(v *scope) (any, error) {
		x, err := condition(v)
		switch {
		case err != nil:
			return nil, err
		case truth(x):
			return then(v)
		}
		return otherwise(v)
	}, err
}

// list is what follows a [.
func (p *expressionParser) list() (expression, error) {
	var parts []expression
	for !p.take("]") {
		e, err := p.either()
		if err != nil {
			return nil, err
		}
		parts = append(parts, e)
		if !p.take(",") && p.peek() != "]" {
			return nil, fmt.Errorf("%q inside [ ] is not supported", p.peek())
		}
	}
	return func(v *scope) (any, error) {
		out := make([]any, len(parts))
		for i, e := range parts {
			var err error
			if out[i], err = e(v); err != nil {
				return nil, err
			}
		}
		return out, nil
	}, nil
}

// either is A or B: the first that is true, else the last.
func (p *expressionParser) either() (expression, error) { return p.chain("or", true, p.both) }

// both is A and B: the first that is false, else the last.
func (p *expressionParser) both() (expression, error) { return p.chain("and", false, p.negation) }

func (p *expressionParser) chain(word string, stop bool, part func() (expression, error)) (expression, error) {
	left, err := part()
	for err == nil && p.take(word) {
		var right expression
		first := left
		if right, err = part(); err == nil {
			left = func(v *scope) (any, error) {
				x, err := first(v)
				if err != nil || truth(x) == stop {
					return x, err
				}
				return right(v)
			}
		}
	}
	return left, err
}

func (p *expressionParser) negation() (expression, error) {
	if !p.take("not") {
		return p.comparison()
	}
	e, err := p.negation()
	return func(v *scope) (any, error) {
		x, err := e(v)
		return !truth(x), err
	}, err
}

// comparison is one of ==, != and in between two sums.
func (p *expressionParser) comparison() (expression, error) {
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	var compare func(a, b any) (bool, error)
	switch {
	case p.take("=="):
		compare = equal
	case p.take("!="):
		compare = func(a, b any) (bool, error) { same, err := equal(a, b); return !same, err }
	case p.take("in"):
		compare = func(a, b any) (bool, error) { return contains(b, a) }
	case p.take("not"):
		if !p.take("in") {
			return nil, fmt.Errorf("not before %q is not supported", p.peek())
		}
		compare = func(a, b any) (bool, error) { ok, err := contains(b, a); return !ok, err }
	default:
		return left, nil
	}
	right, err := p.sum()
	return two(left, right, func(a, b any) (any, error) { return compare(a, b) }), err
}

// two computes both sides and puts them together.
func two(left, right expression, f func(a, b any) (any, error)) expression {
	return func(v *scope) (any, error) {
		a, err := left(v)
		if err != nil {
			return nil, err
		}
		b, err := right(v)
		if err != nil {
			return nil, err
		}
		return f(a, b)
	}
}

// sum is A + B.
func (p *expressionParser) sum() (expression, error) {
	left, err := p.joined()
	for err == nil && p.take("+") {
		var right expression
		if right, err = p.joined(); err == nil {
			left = two(left, right, add)
		}
	}
	return left, err
}

// joined is A ~ B, both as text; it binds more tightly than +.
func (p *expressionParser) joined() (expression, error) {
	left, err := p.filtered()
	for err == nil && p.take("~") {
		var right expression
		if right, err = p.filtered(); err == nil {
			left = two(left, right, func(a, b any) (any, error) {
				x, err := printed(a)
				if err != nil {
					return nil, err
				}
				y, err := printed(b)
				if err != nil {
					return nil, err
				}
				return add(x, y)
			})
		}
	}
	return left, err
}

// filtered is a value with its filters and tests.
func (p *expressionParser) filtered() (expression, error) {
	e, err := p.postfix()
	for err == nil {
		apply, isTest := filter, p.peek() == "is"
		switch {
		case p.take("|"):
		case p.take("is"):
			no := p.take("not")
			apply = func(a any, name string) (any, error) {
				ok, err := is(a, name)
				return ok != no, err
			}
		default:
			return e, nil
		}
		of, name := e, p.peek()
		p.at++
		if p.peek() == "(" || isTest && p.argument() {
			return nil, fmt.Errorf("%s with arguments is not supported", name)
		}
		e = func(v *scope) (any, error) {
			x, err := of(v)
			if err != nil {
				return nil, err
			}
			return apply(x, name)
		}
	}
	return nil, err
}

// argument reports whether Jinja takes the next word for what a test is given.
func (p *expressionParser) argument() bool {
	switch next := p.peek(); {
	case next == "", next == "and", next == "or", next == "else":
		return false
	default:
		return isWord(next) || next == "[" || next[0] == '\'' || next[0] == '"' || next[0] >= '0' && next[0] <= '9'
	}
}

// postfix is a value with .key and [key] behind it.
func (p *expressionParser) postfix() (expression, error) {
	e, err := p.value()
	for err == nil {
		var key expression
		switch {
		case p.take("."):
			name := p.peek()
			if !isWord(name) {
				return nil, fmt.Errorf("a dot before %q is not supported", name)
			}
			p.at++
			key = func(*scope) (any, error) { return name, nil }
		case p.take("["):
			if key, err = p.either(); err == nil && !p.take("]") {
				err = fmt.Errorf("%q inside [ ] is not supported", p.peek())
			}
		default:
			return e, nil
		}
		e = two(e, key, item)
	}
	return nil, err
}

func (p *expressionParser) value() (expression, error) {
	w := p.peek()
	p.at++
	constant := func(x any) (expression, error) { return func(*scope) (any, error) { return x, nil }, nil }
	switch {
	case w == "[":
		return p.list()
	case w == "(":
		e, err := p.chosen()
		if err == nil && !p.take(")") {
			err = fmt.Errorf("%q inside ( ) is not supported", p.peek())
		}
		return e, err
	case w == "true", w == "True":
		return constant(true)
	case w == "false", w == "False":
		return constant(false)
	case w == "none", w == "None":
		return constant(nil)
	case w != "" && (w[0] == '\'' || w[0] == '"'):
		return constant(unescape(w[1 : len(w)-1]))
	case w != "" && w[0] >= '0' && w[0] <= '9':
		n, err := strconv.Atoi(w)
		if err != nil {
			return nil, err
		}
		return constant(n)
	case !isWord(w):
		return nil, fmt.Errorf("%q is not supported where a value is expected", w)
	case p.peek() == "(":
		return nil, fmt.Errorf("calling %s is not supported", w)
	}
	return func(v *scope) (any, error) { return v.get(w), nil }, nil
}

// unescape reads the escapes that templates have; another keeps its backslash, as in Python.
func unescape(s string) string {
	return strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\\`, `\`, `\'`, "'", `\"`, `"`).Replace(s)
}
