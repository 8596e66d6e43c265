// Package shape holds the data of the ECR API as its model has it: the types
// of requests and responses, enumerations, the names of exceptions, and what
// the model demands of each value of a request. All but this file is
// generated; what is done with the data is decided in package ecrapi.
//
// In requests a nil pointer, slice or map is a member that was not sent. In
// responses what is zero is left out; an empty list that is not nil is shown.
package shape

import (
	"io"
	"strconv"
	"time"
)

//go:generate go run github.com/seed-78150930/berth/ecrapi/internal/gen -model ../model/ecr-2015-09-21.json -out . -outline ../model/outline.txt

// Operation is what the model says of an operation.
type Operation struct {
	Input  *Shape      // of its request, a structure
	Errors []Exception // that it may answer with
}

// Exception is the name of one of the model's exceptions.
type Exception string

// Type is the kind of value that a shape describes.
type Type int

// The types of the model that occur in requests.
const (
	String Type = iota + 1
	Integer
	Long
	Boolean
	Blobs
	List
	Structure
)

// Shape is what the model demands of a value.
type Shape struct {
	Name string
	Type Type
	// Min and Max bound a number, a string's length in characters, a blob's in
	// bytes once decoded, or a list's in elements. Nil means no bound.
	Min, Max *int64
	// Pattern is a regular expression for a whole string, "" for none.
	Pattern string
	// Enum lists the strings there are, nil for any.
	Enum []string
	// Members of a structure, in the order of the model and of the fields of
	// its Go type.
	Members []Member
	// Element of a list.
	Element *Shape
}

// Member is a member of a structure.
type Member struct {
	Name     string // as in JSON
	Required bool
	Shape    *Shape
}

// Blob is a run of bytes that a request carries as base64. It is decoded as it
// is read.
type Blob struct {
	Size int64 // in bytes, decoded
	io.Reader
}

// Timestamp is a time that JSON shows as seconds since 1970, to the
// millisecond. The zero value is no time and left out.
type Timestamp struct{ time.Time }

// At is the Timestamp of t.
func At(t time.Time) Timestamp { return Timestamp{t} }

// MarshalJSON writes t as a number such as 1563223656.25.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(t.UnixMilli())/1000, 'f', -1, 64), nil
}
