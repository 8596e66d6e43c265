// Package history plays histories: calls at random, each by a random door of a
// registry, against a small model of what a registry is. After each call the
// answer, the state and the events must be what the model says, and after some of
// them what both doors show. All of it is tests, and docs/testing.md says how to
// have more of them.
//
// The model is written from the specifications and not from package registry:
// maps and a few rules, with no thought of storage. Where the two differ, the
// history is made as short as it gets and printed with what it takes to play it
// again.
//
// Time is that of package testing/synctest, so that what the registry does in
// the background, such as to bring images back from the archive, happens to the
// second when the model says.
//
// Beside the histories stands a table of all ways to move or drop a tag, each
// tried at both doors under each tag rule.
package history
