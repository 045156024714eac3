//go:build race

package engine_test

// raceDetector sleeps a second at the exit of every process.
const raceDetector = true
