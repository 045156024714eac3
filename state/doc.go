// Package state keeps what happened, durably: runs, outcomes of stages, attempts,
// checkpoints, the cache, and the locks that say who is alive. It imports nothing of
// ours and is the one door to bbolt.
//
// A state folder (.so8t) holds
//
//	state.db      bbolt: every record
//	state.lock    flock around each transaction: readers shared, writers exclusive
//	state.turn    turnstile before state.lock, so that readers never starve a writer
//	locks/FP      one engine at a time works on a fingerprint
//	runs/ID/lock          held by the engine of the run for its life
//	runs/ID/events.jsonl  journal: every record and event, a CRC a line
//	runs/ID/live.json     progress, not synced
//	runs/ID/stages/INSTANCE/ATTEMPT/…   what an attempt wrote
//
// The database is open only while a transaction lasts, so any number of processes may
// read while an engine works. A transaction waits for its turn as long as its context
// allows: a busy database is never an error.
//
// Order of a commit: the records' lines are appended to the journals and synced, then
// bbolt commits. So the journals are never behind the database, and Rebuild can make a
// lost one from them. A crash in between leaves a journal one transaction ahead, which
// is harmless: a record is a whole value, the last line of a record wins.
//
// It refuses to be clever about damage: a value whose CRC is wrong, or a page that
// cannot be right, is a *DamagedError, and only Repair, asked for by a user, moves
// anything.
package state
