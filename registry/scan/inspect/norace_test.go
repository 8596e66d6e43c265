//go:build !race

package inspect_test

// raceDetector says whether the race detector is at work.
const raceDetector = false
