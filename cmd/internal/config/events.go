package config

import "time"

// Events says who is told of events.
type Events struct {
	File     string    `key:"file" default:"" restart:"yes" help:"file that takes each event as a line of JSON"`
	Reads    bool      `key:"reads" default:"false" help:"pulls and denials are events too"`
	Webhooks []Webhook `key:"webhooks" restart:"yes" help:"addresses that are sent each event"`
}

// Webhook is an address that is sent events.
type Webhook struct {
	Name         string        `key:"name" needed:"chat" help:"what the webhook is known by, also to what it still has to get"`
	URL          string        `key:"url" needed:"https://hooks.example/berth" help:"address that is sent each event by POST"`
	Format       string        `key:"format" default:"plain" oneof:"plain,cloudevents" help:"form of the body: plain (EventBridge's envelope) or cloudevents"`
	SecretFile   string        `key:"secret-file" default:"" help:"file with the secret that signs each body; none signs nothing"`
	Repositories []string      `key:"repositories" help:"patterns of repositories' names, * for any run of characters; none means all"`
	Types        []string      `key:"types" help:"detail-types of the events; none means all"`
	MaxAge       time.Duration `key:"max-age" default:"24h" help:"how long an event may wait when it is tried for the last time"`
}

// Egress says where the server itself may connect to.
type Egress struct {
	Allow     []string `key:"allow" restart:"yes" help:"hosts, host:port pairs, addresses and networks that are reached though they are loopback, private or link-local"`
	PlainHTTP []string `key:"plain-http" restart:"yes" help:"hosts or host:port pairs that are reached without TLS"`
}

// HealFrom is a registry that holds the same repositories.
type HealFrom struct {
	URL             string `key:"url" needed:"https://replica.example" help:"address of the registry, reached as egress allows"`
	CredentialsFile string `key:"credentials-file" default:"" help:"file with user:password for it; none asks without"`
}
