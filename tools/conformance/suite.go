//go:build suite

package main

// The suite is a program of its own, made by go test -c. Naming it here has go
// mod tidy keep all that it is built from; to link it into this program would
// run its init functions, which want its settings at once.
import _ "github.com/opencontainers/distribution-spec/conformance"
