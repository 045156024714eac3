// Package engine runs workflows: it plans, schedules, tries, records and reuses. It knows no
// concrete stage, prints nothing and chooses no exit code.
//
// Data flow: Load reads a file and asks its plugins to describe themselves; Plan decides for
// every instance whether it runs, is reused, is skipped or is blocked, and why; Run makes a
// run of a plan, Resume goes on with one, Rerun repeats one stage of one. What happens is told
// to one Listener. Status, Explain, Artifacts and Metrics read what is recorded, also while
// another engine runs.
//
//	engine.go       Engine, Options, Load
//	plan.go         the order of a workflow's instances
//	decide.go       action and reason of one instance; why is a diff of fingerprint parts
//	fingerprint.go  what identifies the work of a stage
//	schedule.go     which instance starts next; what a failure means to the others
//	attempt.go      one try: launch, stream, stop, classify
//	publish.go      from a finished attempt to committed artifacts
//	crash.go        counted durable steps, for tests that kill the engine
//
// What must hold is written where it is kept: publish.go says in which order things become
// durable, state says what a transaction may do.
package engine
