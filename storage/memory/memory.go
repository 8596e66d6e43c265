// Package memory keeps an index and blobs in memory: for tests, and for
// servers whose data may be thrown away. Nothing survives the process.
package memory
