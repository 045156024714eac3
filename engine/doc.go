// Package engine runs workflows: it plans, schedules, tries, records and reuses. It knows no
// concrete stage, prints nothing and chooses no exit code.
//
// Data flow: Load reads a file and asks its plugins to describe themselves; Plan decides for
// every instance whether it runs, is reused, is skipped or is blocked, and why; Run makes a
// run of a plan, Resume goes on with one, Rerun repeats one stage of one. What happens is told
// to one Listener. Status, Explain, Artifacts and Metrics read what is recorded, also while
// another engine runs.
//
//	engine.go, load.go     Engine; a workflow and the plugins it uses
//	plan.go                instances in order, from the workflow's graph
//	planner.go, reason.go  action and reason of each; why is a diff of fingerprint parts
//	check.go, verify.go    what plugins say before anything starts; whether outputs are still there
//	resolve.go, fingerprint.go, with.go, canonical.go, digest.go
//	                       what a plugin gets, and what identifies its work
//	run.go, record.go      one run and what is stored of it
//	schedule.go, judge.go  which instance starts next; what a failure means to the others
//	work.go, attempt.go    one instance: reused, or tried; one try: launch, stream, stop, classify
//	publish.go, checkpoint.go, folder.go
//	                       from a finished attempt to committed artifacts; where to go on from
//	recover.go, resume.go, rerun.go
//	                       after a crash; the same run again; one stage of one again
//	status.go, series.go, inspect.go
//	                       the read side
//	crash.go               counted durable steps, for tests that kill the engine
//
// What must hold is written where it is kept: publish.go says in which order things become
// durable, state says what a transaction may do.
package engine
