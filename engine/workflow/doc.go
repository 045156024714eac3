// Package workflow reads so8t's workflow language: YAML files that compile into a graph of
// stage instances.
//
// [Load] and [Parse] give either a [Workflow] whose values are resolved, or [Problems]: everything
// that is wrong with the files, found in one go, each with its place. Nothing is started and
// nothing is looked at beyond the files themselves; what a plugin accepts comes from
// [Options.Describe].
//
// The way of a file: scan.go refuses what the parser must not see (encoding, depth, size),
// yaml.go turns goccy/go-yaml's syntax tree into nodes with places, include.go gathers the files,
// document.go and what it calls read the language from them by the tables in keys.go, matrix.go
// and pairing.go make instances, schema.go checks `with`, condition_compile.go and what it calls check
// and compile expressions, graph.go orders the stages.
package workflow
