// Package workflow reads so8t's workflow language: YAML files that compile into a graph of
// stage instances.
//
// [Load] and [Parse] give either a [Workflow] whose values are resolved, or [Problems]: everything
// that is wrong with the files, found in one go, each with its place. Nothing is started and
// nothing is looked at beyond the files themselves; what a plugin accepts comes from
// [Options.Describe].
//
// No workflow takes more than 100 MiB or, on an idle machine, a second: what is too large is refused as
// too-large. The bounds leave room for 10,000 stages: 1 MiB and 180,000 values or lines in all its files (20,000
// entries in a mapping, 30,000 values in one entry below a top-level key), 20,000 instances with 200,000
// values in all and 500,000 dependencies, 8 MiB of texts with references, 10,000 expressions. Of more
// than 3000 problems the first 3000 are listed.
//
// The way of a file: scan.go refuses what the parser must not see (encoding, depth, size),
// piece.go cuts it into what the parser takes at once, yaml.go turns goccy/go-yaml's syntax tree into
// nodes with places, include.go gathers the files, budget.go bounds what they multiply, document.go
// and what it calls read the language from them by the tables in keys.go, matrix.go and pairing.go make
// instances, schema.go checks `with`, condition_compile.go and what it calls check and compile
// expressions, graph.go orders the stages.
package workflow
