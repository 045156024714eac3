package workflow

import "math"

// The keys of the language, in tables that the decoder and the JSON Schema share.

// keySpec is a key of a mapping of the language.
type keySpec struct {
	name string
	help string
	// schema is the JSON Schema of the value.
	schema func(s *schemaWriter) object
	// fallback is the default, example a value, as JSON; nil: none.
	fallback, example any
	required          bool
}

func names(table []keySpec) []string {
	out := make([]string, len(table))
	for i, k := range table {
		out[i] = k.name
	}
	return out
}

func find(table []keySpec, name string) (keySpec, bool) {
	for _, k := range table {
		if k.name == name {
			return k, true
		}
	}
	return keySpec{}, false
}

var topKeys = []keySpec{
	{name: "version", help: "version of the language: 1", schema: constant(1), required: true},
	{name: "name", help: "name of the workflow", schema: text, example: "my-workflow"},
	{name: "params", help: "parameters that --param sets", schema: paramsSchema, example: object{"seed": object{"type": "int", "default": 1, "help": "the same seed gives the same bytes"}}},
	{name: "defaults", help: "values that every stage has unless it says otherwise", schema: defaultsSchema, example: object{"timeout": "12h", "retry": object{"max": 2, "backoff": "30s"}}},
	{name: "env", help: "environment variables of every stage", schema: envSchema, example: object{"TZ": "UTC"}},
	{name: "secrets", help: "names of environment variables that hold secrets", schema: oneOrMore, example: []string{"HF_TOKEN"}},
	{name: "concurrency", help: "instances at a time, 1 or more", schema: integer(1, math.MaxInt32), example: 2},
	{name: "slots", help: "name: how many there are of something that stages share", schema: slotsSchema, example: object{"server": 1}},
	{name: "include", help: "files relative to this one whose stages and parameters are added", schema: oneOrMore, example: []string{"shared/stages.yaml"}},
	{name: "stages", help: "the stages by name", schema: stagesSchema, required: true},
	{name: "on", help: "what is done when the run has ended", schema: hooksSchema, example: object{"failure": object{"run": "notify-send failed"}}},
}

// includedKeys are those of topKeys that an included file may hold; stages may be absent there.
var includedKeys = includable(topKeys, "version", "params", "env", "secrets", "include", "stages")

func includable(table []keySpec, allowed ...string) []keySpec {
	var out []keySpec
	for _, k := range table {
		if contains(allowed, k.name) {
			k.required = k.required && k.name == "version"
			out = append(out, k)
		}
	}
	return out
}

var stageKeys = []keySpec{
	{name: "uses", help: "a built-in stage, or ./path of a plugin relative to the project directory", schema: usesSchema, required: true, example: "./plugins/my-evaluator"},
	{name: "with", help: "parameters of the plugin", schema: anyObject},
	{name: "needs", help: "stages that must be done first; passes no data", schema: oneOrMore, example: []string{"data"}},
	{name: "when", help: "when to run: success (default), failure, always, or an expression over params, matrix, stages.S.outcome and stages.S.metrics.M", schema: whenSchema, fallback: WhenSuccess, example: "stages.eval.metrics.accuracy > 0.9"},
	{name: "matrix", help: "axis: list of values; the stage runs once for each combination. from: stages whose axes are copied", schema: matrixSchema, example: object{"r": []int{8, 16, 32}}},
	{name: "gates", help: "expressions over the stage's own metrics that must be true, else it fails: accuracy > 0.9", schema: textList, example: []string{"accuracy > 0.9"}},
	{name: "env", help: "environment variables", schema: envSchema},
	{name: "secrets", help: "secrets that the stage receives", schema: oneOrMore, example: []string{"HF_TOKEN"}},
	{name: "retry", help: "how often and when a failed attempt is tried again", schema: retrySchema, example: object{"max": 2, "backoff": "30s"}},
	{name: "timeout", help: "longest time of an attempt: " + durationHelp, schema: duration, example: "12h"},
	{name: "resources", help: "what an instance holds while it runs", schema: resourcesSchema, example: object{"gpu": 1, "memory": "8GiB"}},
	{name: "concurrency", help: "instances of its matrix at a time, 1 or more", schema: integer(1, math.MaxInt32)},
	{name: "priority", help: "-100 to 100: of what could start, the higher starts first", schema: integer(-maxPriority, maxPriority), fallback: 0},
	{name: "continue_on_error", help: "a failure counts like a skip for dependents", schema: booleanOrReference, fallback: false},
	{name: "publish", help: "output: path in the project directory where it is put after success", schema: textMap, example: object{"html": "report.html"}},
	{name: "frozen", help: "do not run: use the newest committed outputs whatever changed", schema: boolean, fallback: false},
}

var hookEvents = []keySpec{
	{name: "success", help: "when every stage succeeded", schema: hookSchema},
	{name: "failure", help: "when one failed", schema: hookSchema},
	{name: "always", help: "in any case", schema: hookSchema},
}

var hookKeys = []keySpec{
	{name: "run", help: "a command", schema: text},
	{name: "webhook", help: "an address that is posted to", schema: text},
	{name: "timeout", help: "longest time it may take: " + durationHelp, schema: duration},
}

var defaultsKeys = []keySpec{
	{name: "timeout", help: "longest time of an attempt: " + durationHelp, schema: duration},
	{name: "retry", help: "how often and when a failed attempt is tried again", schema: retrySchema},
	{name: "resources", help: "what an instance holds while it runs", schema: resourcesSchema},
	{name: "env", help: "environment variables", schema: envSchema},
	{name: "continue_on_error", help: "a failure counts like a skip for dependents", schema: booleanOrReference},
}

var retryKeys = []keySpec{
	{name: "max", help: "tries after the first, 0 to 100", schema: integer(0, maxRetries), fallback: 0},
	{name: "backoff", help: "wait before the next try: " + durationHelp, schema: duration, example: "30s"},
	{name: "factor", help: "each wait is this many times the one before (default 2)", schema: factor, fallback: 2},
	{name: "max_backoff", help: "longest wait: " + durationHelp, schema: duration, example: "10m"},
	{name: "jitter", help: "spread the waits", schema: booleanOrReference, fallback: false},
	{name: "on", help: "error codes that are retried", schema: errorCodesSchema, example: []string{"unavailable", "timeout"}},
}

var resourceKeys = []keySpec{
	{name: "gpu", help: "GPUs, 0 or more", schema: integer(0, math.MaxInt32)},
	{name: "cpu", help: "CPUs, 1 or more", schema: integer(1, math.MaxInt32)},
	{name: "memory", help: "memory: " + sizeHelp, schema: size, example: "8GiB"},
	{name: "disk", help: "disk: " + sizeHelp, schema: size, example: "20GB"},
	{name: "slots", help: "slots held while an instance runs", schema: slotsSchema},
}

var paramKeys = []keySpec{
	{name: "type", help: "type of the value", schema: paramTypeSchema, required: true},
	{name: "default", help: "value when none is given", schema: scalarSchema},
	{name: "required", help: "true: there is no default", schema: boolean},
	{name: "min", help: "smallest value", schema: scalarSchema},
	{name: "max", help: "largest value", schema: scalarSchema},
	{name: "enum", help: "the values allowed", schema: scalarList},
	{name: "pattern", help: "RE2 expression that a string must match", schema: text, example: "^[a-z]+$"},
	{name: "help", help: "one line for people", schema: text},
}

// errorCodes are the codes that retry.on may name.
var errorCodes = []string{
	"bad_input", "out_of_memory", "out_of_disk", "timeout", "cancelled", "crashed", "gate", "unavailable", "internal",
}

var whenWords = []string{WhenSuccess, WhenFailure, WhenAlways}
