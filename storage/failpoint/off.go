//go:build !failpoints

package failpoint

// Enabled says whether this program can be killed at a point.
const Enabled = false

// Hit says that the process is at a point.
func Hit(Point) {}
