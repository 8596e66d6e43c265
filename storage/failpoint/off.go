//go:build !failpoints

package failpoint

// Enabled says whether this program can be killed at a point.
const Enabled = false

// Hit says that the process is at a point.
func Hit(Point) {}

// Watch has fn called at each point, in a program that has them.
func Watch(fn func(Point)) {}
