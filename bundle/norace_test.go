//go:build !race

package bundle

// raceDetector says that times mean nothing.
const raceDetector = false
