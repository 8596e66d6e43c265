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

// What the setting rebuild may be.
const (
	RebuildAuto = "auto"
	RebuildOff  = "off"
)

// Config is every setting, checked. The zero value is of no use; see [Load].
//
// The tags of a field: key is its name, a group's as the prefix of those within;
// default and help are said to people; oneof lists what it may be; zero marks a
// duration or number that may be none at all; needed gives an example of what an entry of a
// list must have; restart marks what a running server cannot change;
// from:"outside" keeps it out of the file.
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

	Identities    string `key:"identities" default:"" help:"file (YAML) with the users, groups, roles and policies of accounts, in place of those that commands make"`
	Login         Login  `key:"login"`
	AnonymousPull bool   `key:"anonymous-pull" default:"false" help:"answer reads without credentials where the policy of a repository allows everyone"`
	Audit         Audit  `key:"audit"`

	CreateOnPush  string   `key:"create-on-push" default:"template" oneof:"template,never,always" help:"make a repository that is missing with the first push to it: template (where a creation template says so), never, or always (the default with dev)"`
	RepositoryURI string   `key:"repository-uri" default:"request" oneof:"request,external,hostname,path,aws" help:"what is printed as repositoryUri: request, external, hostname, path or aws"`
	External      string   `key:"external" default:"" help:"address that the server is known by, such as https://registry.example"`
	Hosts         []string `key:"hosts" help:"Host headers to print back besides loopback and AWS-shaped ones"`
	HostsStrict   bool     `key:"hosts-strict" default:"false" help:"answer 421 to any other Host header (always with dev)"`
	Regions       []string `key:"regions" help:"regions that exist; none listed means Amazon's public list"`
	SparseIndexes string   `key:"sparse-indexes" default:"refuse" oneof:"refuse,accept" help:"indexes that name manifests which are not there: refuse or accept"`

	ReadOnly bool   `key:"read-only" default:"false" help:"take no writes: pulls and log-ins go on"`
	DiskLow  Amount `key:"disk-low" default:"5%" help:"free room on the data folder's disk below which it is called low: a size or a share, a share being 10 GiB at most; 0 for never"`
	DiskStop Amount `key:"disk-stop" default:"1%" help:"free room on the data folder's disk below which writes are refused: a size or a share, a share being 1 GiB at most; 0 for not before it is full"`

	Rebuild string `key:"rebuild" default:"off" oneof:"auto,off" restart:"yes" help:"what to do with a bad index at the start: auto makes it anew from its journal, off ends with the command that does"`

	UploadExpiry  time.Duration `key:"upload-expiry" default:"24h" help:"how long an unfinished upload may lie idle"`
	RestoreTime   time.Duration `key:"restore-time" default:"1m" zero:"yes" help:"how long an archived image takes to come back"`
	PullTimeFlush time.Duration `key:"pull-time-flush" default:"1m" help:"how late the last pull of an image may be written"`

	LifecycleInterval   time.Duration `key:"lifecycle-interval" default:"1h" help:"time between two runs of a repository's lifecycle policy"`
	LifecycleExtensions bool          `key:"lifecycle-extensions" default:"false" help:"take lifecycle policies with Berth's own key, which ECR refuses"`

	TrashWindow time.Duration `key:"trash-window" default:"168h" zero:"yes" help:"how long what was deleted lies in the trash, from where it can be brought back; 0s lets it go at once"`
	Protected   []Protection  `key:"protected" help:"repositories, or tags of them, that are not to be deleted"`

	GCGrace    time.Duration `key:"gc-grace" default:"1h" zero:"yes" help:"how long a layer that no image uses stays after its upload"`
	GCInterval time.Duration `key:"gc-interval" default:"1h" zero:"yes" help:"time from the begin of one collection to that of the next; 0s leaves it to berth gc run"`
	GCRate     int           `key:"gc-rate" default:"10000" zero:"yes" help:"rows and blobs that a collection looks at in a second; 0 means as many as it can"`

	Verify string `key:"verify" default:"changed" oneof:"changed,always" help:"layers whose bytes are hashed before they go out: changed (those whose files were touched) or always"`

	ScrubInterval time.Duration `key:"scrub-interval" default:"720h" zero:"yes" help:"time from the begin of one scrub, which hashes all that is stored, to that of the next; 0s leaves it to berth scrub run"`
	ScrubRate     Size          `key:"scrub-rate" default:"20MiB" help:"bytes that a scrub reads in a second"`
	HealFrom      []HealFrom    `key:"heal-from" restart:"yes" help:"registries with the same repositories, from which what is damaged is brought back by digest"`

	EventRetention time.Duration `key:"event-retention" default:"168h" help:"how long events are kept"`
	Events         Events        `key:"events"`
	Egress         Egress        `key:"egress"`
	Mirror         Mirror        `key:"mirror"`
	Replication    Replication   `key:"replication"`
	Scanning       Scanning      `key:"scanning"`
	Signing        Signing       `key:"signing"`
	Limits         Limits        `key:"limits"`
	RateLimits     []string      `key:"rate-limits" help:"requests a second by action, such as PutImage=10 or PutImage=10/50 with a burst; ecr stands for ECR's own; none means no limit"`

	Metrics         Metrics       `key:"metrics"`
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
	Layers            int  `key:"layers" default:"10000" help:"layers of an image"`
	Parts             int  `key:"parts" default:"4200" help:"parts of a layer upload by the JSON API"`
	SmallestPart      Size `key:"smallest-part" default:"5MiB" help:"least size of a part that is not the last"`
	LargestPart       Size `key:"largest-part" default:"20MiB" help:"largest part of a layer upload by the JSON API, which takes 20 MiB"`
	Tags              int  `key:"tags" default:"0" zero:"yes" help:"tags of an image; 0 for ECR's 1000, which pushes at listeners of compat oci do without"`
	Images            int  `key:"images" default:"100000" help:"images of a repository"`
	Repositories      int  `key:"repositories" default:"100000" help:"repositories of a registry"`
	RepositoryBytes   Size `key:"repository-bytes" default:"0" zero:"yes" help:"bytes of a repository's images, and of what is uploaded to it; 0 for no bound"`
	RegistryBytes     Size `key:"registry-bytes" default:"0" zero:"yes" help:"bytes of a registry's images, and of what is uploaded to it; 0 for no bound"`
	RegistryImages    int  `key:"registry-images" default:"0" zero:"yes" help:"images of a registry; 0 for no bound"`
	ResourceTags      int  `key:"resource-tags" default:"50" help:"resource tags of a repository"`
	Uploads           int  `key:"uploads" default:"10000" help:"open uploads of an identity"`
	RepositoryUploads int  `key:"repository-uploads" default:"10000" help:"open uploads in a repository"`

	LifecycleText           int `key:"lifecycle-text" default:"30720" help:"characters of a lifecycle policy"`
	LifecycleRules          int `key:"lifecycle-rules" default:"50" help:"rules of a lifecycle policy"`
	PullThroughRules        int `key:"pull-through-rules" default:"50" help:"pull-through rules of a registry"`
	Templates               int `key:"templates" default:"1000" help:"repository creation templates of a registry"`
	PullTimeExclusions      int `key:"pull-time-exclusions" default:"100" help:"pull time exclusions of a registry"`
	ReplicationRules        int `key:"replication-rules" default:"10" help:"replication rules of a registry"`
	ReplicationFilters      int `key:"replication-filters" default:"100" help:"filters of a replication rule"`
	ReplicationDestinations int `key:"replication-destinations" default:"25" help:"different destinations of a registry's replication"`
	SigningRules            int `key:"signing-rules" default:"10" help:"signing rules of a registry"`
	SigningFilters          int `key:"signing-filters" default:"100" help:"filters of a signing rule"`

	AnonymousReads int `key:"anonymous-reads" default:"600" help:"reads without credentials from one address in a minute"`
	LoginFailures  int `key:"login-failures" default:"10" help:"log-ins that fail in a minute for one name from one address, before more have to wait; five times as many for the id of a key, ten times for all names"`

	Head        Size `key:"head" default:"1MiB" restart:"yes" help:"largest head of a request"`
	Connections int  `key:"connections" default:"10000" help:"open connections; beyond them the ones that idled longest are closed"`
}

// Protection keeps repositories, or images by their tags, from deletion.
type Protection struct {
	Repositories []string `key:"repositories" needed:"[team/*]" help:"patterns of repositories' names, * for any run of characters"`
	Tags         []string `key:"tags" help:"patterns of tags; none means all that the repository has"`
	Account      string   `key:"account" default:"" help:"account of the registry; none means all"`
	Region       string   `key:"region" default:"" help:"region of the registry; none means all"`
}

// Timeouts bound the phases of a connection.
type Timeouts struct {
	Header time.Duration `key:"header" default:"10s" restart:"yes" help:"for a request's head to arrive"`
	Body   time.Duration `key:"body" default:"1m" help:"for each 16 KiB of a request's body to arrive"`
	Answer time.Duration `key:"answer" default:"1m" help:"for each 256 KiB of an answer to be taken"`
	Idle   time.Duration `key:"idle" default:"2m" restart:"yes" help:"between two requests of a connection"`
}

// CreationMode says whether a push makes a missing repository, as in the setting
// create-on-push: what is set, else what suits a server for development.
func (c *Config) CreationMode() string {
	if c.Dev && !c.origins["create-on-push"].given() {
		return "always"
	}
	return c.CreateOnPush
}

// StrictHosts says whether Host headers that are not the server's are refused.
func (c *Config) StrictHosts() bool { return c.HostsStrict || c.Dev }

// InMemory says whether nothing is to be kept.
func (c *Config) InMemory() bool { return c.Data == Memory }
