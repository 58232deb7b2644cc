//go:build !race

package main

// raceDetector says that this test, and fleetctl where a script runs it, tells
// when two of its goroutines get at the same memory. See theProgram.
const raceDetector = false
