package workflow

import (
	"encoding/json"
	"math"
	"strconv"
)

// Kind is what a Value is.
type Kind int

const (
	Null Kind = iota
	Bool
	Int
	Float
	Text
	List
	Map
	Output // the path of an artifact, known when the stage that makes it is done
	Secret // a variable of the process environment, read when the stage starts
	Concat // a text made of Text, Output and Secret parts
	// broken values have a problem that is reported; checks pass over them.
	broken
)

// Value is a resolved value of a workflow: parameters are put in, outputs and secrets are
// references until the stage starts. Scalars follow the YAML 1.2 core schema.
type Value struct {
	Kind   Kind
	Pos    Pos
	Bool   bool
	Int    int64
	Float  float64
	Text   string // Text; the name of a Secret
	Items  []*Value
	Fields []Field // of a Map, in the order of the file
	Parts  []*Value
	Output OutputRef

	// source is the text as it was written, of a scalar.
	source string
	// collected: the outputs of several instances of one stage, as a List.
	collected bool
	// typed is the parameter's type when the value is exactly one reference to it.
	typed ParamType
}

// Field is an entry of a Map.
type Field struct {
	Key    string
	KeyPos Pos
	Value  *Value
}

// OutputRef names an output of a stage's instance.
type OutputRef struct {
	Node   string // id of the instance
	Stage  string
	Output string
	Pos    Pos // of the stage's name in the reference
}

// Field gives the entry of a map, or nil.
func (v *Value) Field(key string) *Value {
	for _, f := range v.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return nil
}

// Walk calls visit for v and every value inside it, in the order of the file.
func (v *Value) Walk(visit func(*Value)) {
	if v == nil {
		return
	}
	visit(v)
	for _, i := range v.Items {
		i.Walk(visit)
	}
	for _, f := range v.Fields {
		f.Value.Walk(visit)
	}
	for _, p := range v.Parts {
		p.Walk(visit)
	}
}

// References are the outputs that v reads, in the order of the file, repeated ones too.
func (v *Value) References() []OutputRef {
	var refs []OutputRef
	v.Walk(func(x *Value) {
		if x.Kind == Output {
			refs = append(refs, x.Output)
		}
	})
	return refs
}

// Lookup gives the value of an output, and whether it has one.
type Lookup func(node, output string) (string, bool)

// Resolve gives v as plain Go values: nil, bool, int64, float64, string, []any and
// map[string]any, whose JSON encoding is deterministic. An output without a value (its stage was
// skipped) leaves its field, or its element of a list, out; in a longer text it is empty. For
// `with`, where no secret stands.
func Resolve(v *Value, outputs Lookup) any {
	got, _ := resolve(v, outputs)
	return got
}

func resolve(v *Value, outputs Lookup) (any, bool) {
	switch v.Kind {
	case Output:
		return present(outputs(v.Output.Node, v.Output.Output))
	case Concat:
		text := ""
		for _, p := range v.Parts {
			if part, ok := resolve(p, outputs); ok {
				text += part.(string)
			}
		}
		return text, true
	case List:
		list := make([]any, 0, len(v.Items))
		for _, i := range v.Items {
			if item, ok := resolve(i, outputs); ok {
				list = append(list, item)
			}
		}
		return list, true
	case Map:
		m := make(map[string]any, len(v.Fields))
		for _, f := range v.Fields {
			if value, ok := resolve(f.Value, outputs); ok {
				m[f.Key] = value
			}
		}
		return m, true
	}
	return v.scalar(), true
}

func present(path string, ok bool) (any, bool) {
	return path, ok
}

func (v *Value) scalar() any {
	switch v.Kind {
	case Bool:
		return v.Bool
	case Int:
		return v.Int
	case Float:
		if v.Float == math.Trunc(v.Float) && math.Abs(v.Float) < 1<<53 {
			return int64(v.Float) // 1e3 and 1000 are one value
		}
		return v.Float
	case Text:
		return v.Text
	}
	return nil
}

// MarshalJSON writes references as {"$output": "node/name"}, {"$outputs": ["node/name", …]},
// {"$secret": NAME} and {"$concat": [parts]}; everything else as itself. Keys are sorted.
func (v *Value) MarshalJSON() ([]byte, error) {
	return json.Marshal(v.plain())
}

func (v *Value) plain() any {
	switch v.Kind {
	case Output:
		return map[string]any{"$output": v.Output.Node + "/" + v.Output.Output}
	case Secret:
		return map[string]any{"$secret": v.Text}
	case Concat:
		return map[string]any{"$concat": plainList(v.Parts)}
	case List:
		if v.collected {
			return map[string]any{"$outputs": outputNames(v.Items)}
		}
		return plainList(v.Items)
	case Map:
		m := make(map[string]any, len(v.Fields))
		for _, f := range v.Fields {
			m[f.Key] = f.Value.plain()
		}
		return m
	}
	return v.scalar()
}

func outputNames(values []*Value) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v.Output.Node + "/" + v.Output.Output
	}
	return out
}

func plainList(values []*Value) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v.plain()
	}
	return out
}

// asText is how a scalar looks inside a longer text: integers in decimal, floats in the shortest
// form that reads back, integral ones without point.
func (v *Value) asText() string {
	switch v.Kind {
	case Null:
		return "null"
	case Bool:
		return strconv.FormatBool(v.Bool)
	case Int:
		return strconv.FormatInt(v.Int, 10)
	case Float:
		text, err := json.Marshal(v.Float)
		if err != nil {
			return v.source
		}
		return string(text)
	}
	return v.Text
}

// what names the value's type in a message.
func (v *Value) what() string {
	switch v.Kind {
	case Null:
		return "nothing"
	case Bool:
		return "the boolean " + v.asText()
	case Int, Float:
		return "the number " + v.asText()
	case List:
		return "a list"
	case Map:
		return "a mapping"
	case Output:
		return "the output " + v.Output.Node + "/" + v.Output.Output
	case Concat, Secret:
		return "a text"
	}
	return "the text " + shorten(v.Text)
}
