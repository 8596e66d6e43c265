//go:build !race

package server_test

// slackOfRace is none without the race detector.
const slackOfRace = 1

// copiesAtStart are the images, and tags, of a store that is opened.
const copiesAtStart = 100_000
