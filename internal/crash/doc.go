// Package crash has no code: its tests, and the packages under it, try to make a
// registry lose something. See docs/durability.md.
package crash
