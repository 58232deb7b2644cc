//go:build race

package await

const RaceDetector = true
