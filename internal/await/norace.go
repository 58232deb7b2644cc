//go:build !race

package await

// RaceDetector says that this test was built to tell when two goroutines get at
// the same memory: everything then takes several times as long, and a measured
// time means nothing. Processes that the test starts are not looked into.
const RaceDetector = false
