// Package config turns flags, environment variables and a YAML file into typed
// options. It is the one package that knows what any of them looks like.
//
// A setting has one name in three spellings: the flag --a-b, the variable
// BERTH_A_B and the YAML key a-b, or a.b where settings form a group. A flag
// wins over a variable, a variable over the file, the file over the default.
// Lists are YAML only.
//
// [Config] is the one table of settings: its fields' tags hold the name, the
// default and the help, and everything else is a walk over it.
package config

import (
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
)

// Memory is the value of the setting data for a server that keeps nothing.
const Memory = ":memory:"

// Config is every setting, checked. The zero value is of no use; see [Load].
//
// The tags of a field: key is its name, a group's as the prefix of those within;
// default and help are said to people; oneof lists what it may be; restart
// marks what a running server cannot change; from:"outside" keeps it out of
// the file.
type Config struct {
	File string `key:"config" from:"outside" restart:"yes" help:"configuration file (YAML)"`

	Listen  string `key:"listen" default:"127.0.0.1:5000" restart:"yes" help:"address and port to listen on; port 0 takes a free one"`
	Compat  string `key:"compat" default:"oci" oneof:"oci,ecr" restart:"yes" help:"where the OCI specification and ECR differ at /v2/: oci or ecr"`
	Data    string `key:"data" default:"./data" restart:"yes" help:"data folder, or :memory: to keep nothing"`
	Account string `key:"account" default:"000000000000" restart:"yes" help:"account of the server's own registry"`
	Region  string `key:"region" default:"us-east-1" restart:"yes" help:"region of the server's own registry"`
	Dev     bool   `key:"dev" default:"false" restart:"yes" help:"for tests on this machine: takes the keys test/test, makes repositories on push, refuses foreign Host headers"`

	TLS            TLS        `key:"tls"`
	Insecure       bool       `key:"insecure" default:"false" restart:"yes" help:"let other machines in without TLS: whoever is on the way can read and change passwords and layers"`
	Listeners      []Listener `key:"listeners" restart:"yes" help:"more addresses to listen on"`
	TrustedProxies []string   `key:"trusted-proxies" help:"addresses and networks of the proxies whose X-Forwarded headers count"`

	CreateOnPush  string   `key:"create-on-push" default:"never" oneof:"never,always" help:"make a repository that is missing with the first push to it: never, or always (the default with dev)"`
	RepositoryURI string   `key:"repository-uri" default:"request" oneof:"request,external,hostname,path,aws" help:"what is printed as repositoryUri: request, external, hostname, path or aws"`
	External      string   `key:"external" default:"" help:"address that the server is known by, such as https://registry.example"`
	Hosts         []string `key:"hosts" help:"Host headers to print back besides loopback and AWS-shaped ones"`
	HostsStrict   bool     `key:"hosts-strict" default:"false" help:"answer 421 to any other Host header (always with dev)"`
	Regions       []string `key:"regions" help:"regions that exist; none listed means Amazon's public list"`
	SparseIndexes string   `key:"sparse-indexes" default:"refuse" oneof:"refuse,accept" help:"indexes that name manifests which are not there: refuse or accept"`

	UploadExpiry   time.Duration `key:"upload-expiry" default:"24h" help:"how long an unfinished upload may lie idle"`
	EventRetention time.Duration `key:"event-retention" default:"168h" help:"how long events are kept"`
	Limits         Limits        `key:"limits"`

	LogFormat       string        `key:"log-format" default:"text" oneof:"text,json" restart:"yes" help:"form of the log: text or json"`
	LogLevel        string        `key:"log-level" default:"info" oneof:"debug,info,warn,error" help:"least level that is logged: debug, info, warn or error"`
	ShutdownTimeout time.Duration `key:"shutdown-timeout" default:"30s" help:"how long requests under way may go on after SIGTERM"`
	Timeouts        Timeouts      `key:"timeouts"`

	// Root is the key pair that the environment gives, zero if it gives none.
	Root accounts.Static

	origins map[string]origin
}

// Limits are the quotas. The defaults are ECR's where it has one.
type Limits struct {
	Manifest          Size `key:"manifest" default:"4MiB" help:"largest manifest"`
	Layer             Size `key:"layer" default:"52000MiB" help:"largest layer"`
	Parts             int  `key:"parts" default:"4200" help:"parts of a layer upload by the JSON API"`
	Tags              int  `key:"tags" default:"1000" help:"tags of an image"`
	Images            int  `key:"images" default:"100000" help:"images of a repository"`
	ResourceTags      int  `key:"resource-tags" default:"50" help:"resource tags of a repository"`
	Uploads           int  `key:"uploads" default:"10000" help:"open uploads of an identity"`
	RepositoryUploads int  `key:"repository-uploads" default:"10000" help:"open uploads in a repository"`
	Head              Size `key:"head" default:"1MiB" restart:"yes" help:"largest head of a request"`
	Connections       int  `key:"connections" default:"10000" help:"open connections; beyond them the ones that idled longest are closed"`
}

// Timeouts bound the phases of a connection.
type Timeouts struct {
	Header time.Duration `key:"header" default:"10s" restart:"yes" help:"for a request's head to arrive"`
	Body   time.Duration `key:"body" default:"1m" help:"for each 16 KiB of a request's body to arrive"`
	Answer time.Duration `key:"answer" default:"1m" help:"for each 256 KiB of an answer to be taken"`
	Idle   time.Duration `key:"idle" default:"2m" restart:"yes" help:"between two requests of a connection"`
}

// CreatesOnPush says whether a push makes a missing repository: what is set,
// else whether the server is for development.
func (c *Config) CreatesOnPush() bool {
	if c.origins["create-on-push"].given() {
		return c.CreateOnPush == "always"
	}
	return c.Dev
}

// StrictHosts says whether Host headers that are not the server's are refused.
func (c *Config) StrictHosts() bool { return c.HostsStrict || c.Dev }

// InMemory says whether nothing is to be kept.
func (c *Config) InMemory() bool { return c.Data == Memory }
