//go:build !race

package server_test

// slackOfRace is none without the race detector.
const slackOfRace = 1
