// Package server is the house: it opens the backends, builds the services over
// them, mounts the doors, starts the workers and stops all of it in order.
package server
