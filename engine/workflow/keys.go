package workflow

// The keys of the language, in tables that the decoder and the JSON Schema share.

// keySpec is a key of a mapping of the language.
type keySpec struct {
	name string
	help string
	// schema is the JSON Schema of the value.
	schema func(s *schemaWriter) object
	// later marks a key that the language has and this version does not read yet.
	later    bool
	required bool
}

func names(table []keySpec) []string {
	out := make([]string, len(table))
	for i, k := range table {
		out[i] = k.name
	}
	return out
}

var topKeys = []keySpec{
	{name: "version", help: "version of the language: 1", schema: constant(1), required: true},
	{name: "name", help: "name of the workflow", schema: text},
	{name: "params", help: "parameters that --param sets", schema: paramsSchema},
	{name: "defaults", help: "values that every stage has unless it says otherwise", schema: defaultsSchema},
	{name: "env", help: "environment variables of every stage", schema: envSchema},
	{name: "secrets", later: true},
	{name: "concurrency", later: true},
	{name: "slots", later: true},
	{name: "include", later: true},
	{name: "stages", help: "the stages by name", schema: stagesSchema, required: true},
	{name: "on", later: true},
}

var stageKeys = []keySpec{
	{name: "uses", help: "a built-in stage, or ./path of a plugin relative to the project directory", schema: usesSchema, required: true},
	{name: "with", help: "parameters of the plugin", schema: anyObject},
	{name: "needs", help: "stages that must be done first; passes no data", schema: oneOrMore},
	{name: "when", help: "when to run: success (default), failure, always", schema: enum(WhenSuccess, WhenFailure, WhenAlways)},
	{name: "matrix", later: true},
	{name: "gates", later: true},
	{name: "env", help: "environment variables", schema: envSchema},
	{name: "secrets", later: true},
	{name: "retry", help: "how often and when a failed attempt is tried again", schema: retrySchema},
	{name: "timeout", help: "longest time of an attempt: " + durationHelp, schema: text},
	{name: "resources", help: "what an instance holds while it runs", schema: resourcesSchema},
	{name: "concurrency", later: true},
	{name: "priority", later: true},
	{name: "continue_on_error", help: "a failure counts like a skip for dependents", schema: booleanOrReference},
	{name: "publish", help: "output: path in the project directory where it is put after success", schema: textMap},
	{name: "frozen", help: "do not run: use the newest committed outputs whatever changed", schema: boolean},
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
	{name: "slots", later: true},
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
