package workflow

// The keys of the language, in tables that the decoder and the JSON Schema share.

// keySpec is a key of a mapping of the language.
type keySpec struct {
	name string
	help string
	// schema is the JSON Schema of the value.
	schema func(s *schemaWriter) object
	// runtime marks one of RuntimeKeys.
	runtime  bool
	required bool
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
	{name: "name", help: "name of the workflow", schema: text},
	{name: "params", help: "parameters that --param sets", schema: paramsSchema},
	{name: "defaults", help: "values that every stage has unless it says otherwise", schema: defaultsSchema},
	{name: "env", help: "environment variables of every stage", schema: envSchema},
	{name: "secrets", runtime: true, help: "names of environment variables that hold secrets", schema: oneOrMore},
	{name: "concurrency", runtime: true, help: "instances at a time, 1 or more", schema: integerOrReference},
	{name: "slots", runtime: true, help: "name: how many there are of something that stages share", schema: slotsSchema},
	{name: "include", help: "files relative to this one whose stages and parameters are added", schema: oneOrMore},
	{name: "stages", help: "the stages by name", schema: stagesSchema, required: true},
	{name: "on", runtime: true, help: "what is done when the run has ended", schema: hooksSchema},
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
	{name: "uses", help: "a built-in stage, or ./path of a plugin relative to the project directory", schema: usesSchema, required: true},
	{name: "with", help: "parameters of the plugin", schema: anyObject},
	{name: "needs", help: "stages that must be done first; passes no data", schema: oneOrMore},
	{name: "when", help: "when to run: success (default), failure, always, or an expression over params, matrix, stages.S.outcome and stages.S.metrics.M", schema: whenSchema},
	{name: "matrix", help: "axis: list of values; the stage runs once for each combination. from: stages whose axes are copied", schema: matrixSchema},
	{name: "gates", help: "expressions over the stage's own metrics that must be true, else it fails: accuracy > 0.9", schema: textList},
	{name: "env", help: "environment variables", schema: envSchema},
	{name: "secrets", runtime: true, help: "secrets that the stage receives", schema: oneOrMore},
	{name: "retry", help: "how often and when a failed attempt is tried again", schema: retrySchema},
	{name: "timeout", help: "longest time of an attempt: " + durationHelp, schema: text},
	{name: "resources", help: "what an instance holds while it runs", schema: resourcesSchema},
	{name: "concurrency", runtime: true, help: "instances of its matrix at a time, 1 or more", schema: integerOrReference},
	{name: "priority", help: "-100 to 100: of what could start, the higher starts first", schema: integerOrReference},
	{name: "continue_on_error", help: "a failure counts like a skip for dependents", schema: booleanOrReference},
	{name: "publish", runtime: true, help: "output: path in the project directory where it is put after success", schema: textMap},
	{name: "frozen", runtime: true, help: "do not run: use the newest committed outputs whatever changed", schema: boolean},
}

var hookEvents = []keySpec{
	{name: "success", help: "when every stage succeeded", schema: hookSchema},
	{name: "failure", help: "when one failed", schema: hookSchema},
	{name: "always", help: "in any case", schema: hookSchema},
}

var hookKeys = []keySpec{
	{name: "run", help: "a command", schema: text},
	{name: "webhook", help: "an address that is posted to", schema: text},
	{name: "timeout", help: durationHelp, schema: text},
}

var defaultsKeys = []keySpec{
	{name: "timeout", help: "longest time of an attempt: " + durationHelp, schema: text},
	{name: "retry", help: "how often and when a failed attempt is tried again", schema: retrySchema},
	{name: "resources", help: "what an instance holds while it runs", schema: resourcesSchema},
	{name: "env", help: "environment variables", schema: envSchema},
	{name: "continue_on_error", help: "a failure counts like a skip for dependents", schema: booleanOrReference},
}

var retryKeys = []keySpec{
	{name: "max", help: "tries after the first, 0 to 100", schema: integerOrReference},
	{name: "backoff", help: "wait before the next try: " + durationHelp, schema: text},
	{name: "factor", help: "each wait is this many times the one before (default 2)", schema: numberOrReference},
	{name: "max_backoff", help: "longest wait: " + durationHelp, schema: text},
	{name: "jitter", help: "spread the waits", schema: booleanOrReference},
	{name: "on", help: "error codes that are retried", schema: errorCodesSchema},
}

var resourceKeys = []keySpec{
	{name: "gpu", help: "GPUs, 0 or more", schema: integerOrReference},
	{name: "cpu", help: "CPUs, 1 or more", schema: integerOrReference},
	{name: "memory", help: sizeHelp, schema: text},
	{name: "disk", help: sizeHelp, schema: text},
	{name: "slots", runtime: true, help: "slots held while an instance runs", schema: slotsSchema},
}

var paramKeys = []keySpec{
	{name: "type", help: "type of the value", schema: paramTypeSchema, required: true},
	{name: "default", help: "value when none is given", schema: scalarSchema},
	{name: "required", help: "true: there is no default", schema: boolean},
	{name: "min", help: "smallest value", schema: scalarSchema},
	{name: "max", help: "largest value", schema: scalarSchema},
	{name: "enum", help: "the values allowed", schema: scalarList},
	{name: "pattern", help: "RE2 expression that a string must match", schema: text},
	{name: "help", help: "one line for people", schema: text},
}

// errorCodes are the codes that retry.on may name.
var errorCodes = []string{
	"bad_input", "out_of_memory", "out_of_disk", "timeout", "cancelled", "crashed", "gate", "unavailable", "internal",
}

var whenWords = []string{WhenSuccess, WhenFailure, WhenAlways}
