// Package broken is a plugin with a fault, for tests: each of the ways in which a plugin can be
// wrong that the conformance suite has to find and the engine has to survive.
package broken

// Fault is one way to be wrong.
type Fault struct {
	Name string
	// Check is a part of the name of the check that finds it, Says of what that says.
	Check, Says string
}

// Faults are those that the conformance suite finds.
var Faults = []Fault{
	{"exits", "starts", "exit status 3"},
	{"hangs", "starts", "took too long while describing itself"},
	{"moody", "starts", "differently"},
	{"badname", "description", `"Bad Name"`},
	{"badschema", "description", "no property of the schema"},
	{"baddefault", "description", `the default of "limit" is no integer`},
	{"nopredictions", "description", "required parameter predictions"},
	{"outside-output", "description", "not below the output folder"},
	{"credulous", "bad parameters", "Run succeeds"},
	{"confused", "bad parameters", "internal instead of bad_input"},
	{"writes-in-check", "runs", "outside its folders"},
	{"lazy", "runs", `output "scores" is missing`},
	{"stray", "runs", `"stray.txt" is part of no declared output`},
	{"undeclared", "runs", `metric "surprise"`},
	{"undeclared-series", "runs", `metric "surprise"`},
	{"mute", "runs", "at least one metric"},
	{"backwards", "runs", "progress went back from 9 to 3"},
	{"overshoots", "runs", "progress is 9 of 5"},
	{"litters", "runs", "outside its folders"},
	{"spoils-input", "runs", "changed a file that is not its own"},
	{"deletes-input", "runs", "deleted a file that is not its own"},
	{"crashes", "runs", "oh no"},
	{"leaves", "runs", "ended with exit status 0 before its result"},
	{"parent", "runs", "left 1 process"},
	{"floods", "can be kept", "104857600 bytes"},
	{"long-line", "can be kept", "a line of 1048576 bytes"},
	{"binary", "can be kept", "no text"},
	{"random", "same input", "declare it volatile"},
	{"deaf", "stops", "asked to stop, it took"},
	{"sulks", "stops", "internal instead of cancelled"},
	{"forgetful", "checkpoint", `output "scores" differs between`},
	{"bare-checkpoint", "checkpoint", "would not be used after a crash"},
	{"stray-checkpoint", "checkpoint", "outside its folder"},
}

// Faults that only the engine has to bear: more events than anybody can look at, and a run that
// never ends.
const (
	Chatters = "chatters"
	Stubborn = "stubborn"
)
