package workflow

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

const overrideSchema = `{"type": "object", "additionalProperties": false, "required": ["base"], "properties": {
	"base": {"type": "string"}, "seed": {"type": "integer", "minimum": 0, "maximum": 100}, "rate": {"type": "number"},
	"fast": {"type": "boolean"}, "mode": {"type": "string", "enum": ["slow", "quick"]},
	"wait": {"type": "string", "format": "duration"}, "anything": {}, "either": {"type": ["integer", "string"]},
	"list": {"type": "array", "items": {"type": "integer"}},
	"weights": {"type": "object", "additionalProperties": {"type": "number"}},
	"lora": {"type": "object", "additionalProperties": false, "properties": {"r": {"type": "integer"}, "alpha": {"type": "integer"}}}
}}`

func overridden(t *testing.T) *Value {
	t.Helper()
	return parseStage(t, `version: 1
stages:
  a: {uses: x}
  b: {uses: y, with: {base: "${stages.a.outputs.o}", seed: 1, lora: {r: 8, alpha: 16}}}
`).With
}

func TestOverride_TextsAreReadByTheSchema(t *testing.T) {
	for _, test := range []struct{ field, text, want string }{
		{"seed", "7", `7`},
		{"rate", "1e-3", `0.001`},
		{"fast", "true", `true`},
		{"mode", "quick", `"quick"`},
		{"base", "7", `"7"`},
		{"base", "true", `"true"`},
		{"wait", "5s", `"5s"`},
		{"anything", "8", `8`},
		{"anything", "eight", `"eight"`},
		{"anything", `{"a": [1, null]}`, `{"a":[1,null]}`},
		{"either", "8", `8`},
		{"either", "eight", `"eight"`},
		{"list", "[1, 2]", `[1,2]`},
		{"weights.x", "2", `2`},
		{"lora.r", "32", `32`},
		{"lora", `{"r": 4}`, `{"r":4}`},
	} {
		before := overridden(t)
		was, _ := json.Marshal(before)
		with, err := Override(json.RawMessage(overrideSchema), before, map[string]string{test.field: test.text})
		if err != nil {
			t.Errorf("%s=%s: %v", test.field, test.text, err)
			continue
		}
		v := with
		for _, name := range strings.Split(test.field, ".") {
			v = v.Field(name)
		}
		if got, err := json.Marshal(v); err != nil || string(got) != test.want {
			t.Errorf("%s=%s gives %s, want %s", test.field, test.text, got, test.want)
		}
		if now, _ := json.Marshal(before); string(now) != string(was) {
			t.Errorf("%s=%s changed what was given: %s", test.field, test.text, now)
		}
		if alpha := with.Field("lora").Field("alpha"); test.field == "lora.r" && (alpha == nil || alpha.Int != 16) {
			t.Errorf("%s=%s lost lora.alpha", test.field, test.text)
		}
	}
}

func TestOverride_WhatDoesNotFitIsAProblem(t *testing.T) {
	for _, test := range []struct{ field, text, code, message string }{
		{"seed", "many", CodeWrongType, `with.seed wants an int, not the text "many"`},
		{"seed", "-1", CodeOutOfRange, "with.seed must be 0 or more, not -1"},
		{"seed", "101", CodeOutOfRange, "with.seed must be 100 or less, not 101"},
		{"seed", "007", CodeAmbiguousNumber, "with.seed"},
		{"seed", "99999999999999999999", CodeOutOfRange, "with.seed"},
		{"rate", "yes", CodeWrongType, "with.rate wants a number (float)"},
		{"fast", "yes", CodeWrongType, "with.fast wants a bool"},
		{"mode", "quik", CodeBadEnum, `with.mode is "quik", not one of slow, quick`},
		{"wait", "5", CodeBadDuration, "with.wait"},
		{"list", "[1, two]", CodeWrongType, "with.list wants a list"},
		{"list", `["two"]`, CodeWrongType, "with.list[0] wants an int"},
		{"weights.x", "heavy", CodeWrongType, "with.weights.x wants a number"},
		{"sed", "1", CodeUnknownKey, `unknown key "sed" in with`},
		{"lora.rank", "1", CodeUnknownKey, `unknown key "rank" in with.lora`},
		{"seed.deeper", "1", CodeUnknownKey, `with.seed is no mapping and has no field "deeper"`},
	} {
		_, err := Override(json.RawMessage(overrideSchema), overridden(t), map[string]string{test.field: test.text})
		var problems Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Code != test.code || !strings.Contains(problems[0].Message, test.message) {
			t.Errorf("%s=%s: %v, want %s: %s", test.field, test.text, err, test.code, test.message)
		}
	}
}

// TestOverride_OneOrder: a field and what is in it can be given together, always with one result.
func TestOverride_OneOrder(t *testing.T) {
	for range 50 {
		with, err := Override(json.RawMessage(overrideSchema), overridden(t), map[string]string{"lora.r": "5", "lora": `{"alpha": 1}`, "lora.alpha": "2"})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(with.Field("lora")); string(got) != `{"alpha":2,"r":5}` {
			t.Fatalf("lora is %s", got)
		}
	}
}
