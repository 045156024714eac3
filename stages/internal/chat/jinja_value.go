package chat

import (
	"errors"
	"fmt"
	"strings"
)

// Values are string, int, bool, nil (none), []any, map[string]any and undefined.
type undefined struct{}

// scope holds the variables of a block; a loop's body has one of its own.
type scope struct {
	outer  *scope
	values map[string]any
	rounds *int // of all loops that are left
}

// A hostile template neither runs for ever nor fills the memory.
const (
	maxTemplate = 64 << 10
	maxRounds   = 10_000
	maxText     = 1 << 20
)

func (v *scope) get(name string) any {
	for s := v; s != nil; s = s.outer {
		if x, ok := s.values[name]; ok {
			return x
		}
	}
	return undefined{}
}

// printed is a value as {{ }} writes it. Lists and mappings are not: their spelling is Python's.
func printed(x any) (string, error) {
	switch x := x.(type) {
	case string:
		return x, nil
	case int:
		return fmt.Sprint(x), nil
	case undefined:
		return "", nil
	case nil:
		return "None", nil
	case bool:
		if x {
			return "True", nil
		}
		return "False", nil
	}
	return "", errors.New("writing a list or a mapping is not supported")
}

func truth(x any) bool {
	switch x := x.(type) {
	case string:
		return x != ""
	case int:
		return x != 0
	case bool:
		return x
	case []any:
		return len(x) > 0
	case map[string]any:
		return len(x) > 0
	}
	return false
}

// equal compares; what is not of one kind differs, but that true is 1 and false 0.
func equal(a, b any) (bool, error) {
	a, b = number(a), number(b)
	switch a := a.(type) {
	case []any:
		if _, ok := b.([]any); ok {
			return false, errors.New("comparing lists is not supported")
		}
	case map[string]any:
		if _, ok := b.(map[string]any); ok {
			return false, errors.New("comparing mappings is not supported")
		}
	default:
		return a == b, nil
	}
	return false, nil
}

func number(x any) any {
	switch x {
	case true:
		return 1
	case false:
		return 0
	}
	return x
}

// item is a[key], also written a.key.
func item(a, key any) (any, error) {
	switch a := a.(type) {
	case map[string]any:
		if k, ok := key.(string); ok {
			if x, ok := a[k]; ok {
				return x, nil
			}
			return undefined{}, nil
		}
	case []any:
		if i, ok := key.(int); ok {
			if i < 0 {
				i += len(a)
			}
			if i >= 0 && i < len(a) {
				return a[i], nil
			}
			return undefined{}, nil
		}
	}
	return nil, fmt.Errorf("%v of %T is not supported", key, a)
}

// contains is a in b.
func contains(b, a any) (bool, error) {
	switch b := b.(type) {
	case string:
		if s, ok := a.(string); ok {
			return strings.Contains(b, s), nil
		}
	case map[string]any:
		if s, ok := a.(string); ok {
			_, ok = b[s]
			return ok, nil
		}
	case []any:
		for _, x := range b {
			if same, err := equal(x, a); same || err != nil {
				return same, err
			}
		}
		return false, nil
	}
	return false, fmt.Errorf("in of %T and %T is not supported", a, b)
}

// add is a + b; texts and numbers do not mix.
func add(a, b any) (any, error) {
	switch a := a.(type) {
	case string:
		if s, ok := b.(string); ok && len(a)+len(s) <= maxText {
			return a + s, nil
		}
	case int:
		if n, ok := b.(int); ok {
			return a + n, nil
		}
	}
	return nil, fmt.Errorf("%T + %T is not possible", a, b)
}

// is is the test a is NAME.
func is(a any, name string) (bool, error) {
	_, none := a.(undefined)
	_, text := a.(string)
	_, mapping := a.(map[string]any)
	_, list := a.([]any)
	switch name {
	case "defined":
		return !none, nil
	case "undefined":
		return none, nil
	case "none":
		return a == nil, nil
	case "string":
		return text, nil
	case "mapping":
		return mapping, nil
	case "iterable":
		return text || mapping || list, nil
	}
	return false, fmt.Errorf("the test %q is not supported", name)
}

// filter is a | NAME.
func filter(a any, name string) (any, error) {
	switch text, ok := a.(string); {
	case name == "trim" && ok:
		return strings.TrimSpace(text), nil
	case name == "upper" && ok:
		return strings.ToUpper(text), nil
	case name == "lower" && ok:
		return strings.ToLower(text), nil
	case name == "string" && ok:
		return text, nil
	case name == "length" && ok:
		return len([]rune(text)), nil
	case name == "length":
		if list, ok := a.([]any); ok {
			return len(list), nil
		}
	}
	return nil, fmt.Errorf("the filter %q is not supported here", name)
}
