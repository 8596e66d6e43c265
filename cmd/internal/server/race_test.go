//go:build race

package server_test

// slackOfRace is for the race detector, which has pools drop some of what they are given.
const slackOfRace = 1.5

// copiesAtStart are fewer where each takes ten times as long.
const copiesAtStart = 10_000
