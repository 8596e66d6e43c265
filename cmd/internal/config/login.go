package config

import "time"

// Login says what is taken in place of a registry password at /v2/, and how.
type Login struct {
	Keys   bool `key:"keys" default:"true" help:"take an access key's id and secret as user name and password at /v2/"`
	People bool `key:"people" default:"true" help:"take a user's name and password at /v2/"`
	Robots bool `key:"robots" default:"true" help:"take robot keys at /v2/"`
	Bearer bool `key:"bearer" default:"false" help:"give out bearer tokens at /v2/token, as docker needs them to pull without credentials"`
}

// Audit says where each call is recorded.
type Audit struct {
	File     string        `key:"file" default:"" restart:"yes" help:"file that takes a record of each call; none means audit/audit.jsonl in the data folder, and off turns it off"`
	MaxSize  Size          `key:"max-size" default:"64MiB" restart:"yes" help:"size at which a new file is begun"`
	MaxAge   time.Duration `key:"max-age" default:"720h" restart:"yes" help:"age at which a new file is begun"`
	Keep     int           `key:"keep" default:"16" restart:"yes" help:"files that are kept"`
	Required bool          `key:"required" default:"false" restart:"yes" help:"refuse calls that could not be recorded"`
}
