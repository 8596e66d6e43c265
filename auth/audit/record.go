package audit

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth"
)

// Resource is what a call is about.
type Resource struct{ ARN, Account, Type string }

// The types of resources, as CloudFormation names them.
const (
	RepositoryType = "AWS::ECR::Repository"
	RoleType       = "AWS::IAM::Role"
)

const (
	eventVersion = "1.11"
	// longestLine is how much a line takes at most; a call under way has that
	// much room. Without their values records are far shorter.
	longestLine = 24 << 10
	timeFormat  = "2006-01-02T15:04:05Z"

	longestName    = 256
	longestAgent   = 1 << 10 // as CloudTrail's
	longestMessage = 1 << 10 // as CloudTrail's
	mostResources  = 10
)

// record writes what is known of a call, without the last brace.
func (c *Call) record(dst []byte) []byte {
	o := newObject(dst)
	o.own(`"eventVersion":"` + eventVersion + `"`)
	who := o.within("userIdentity")
	c.identity(&who)
	o.close(who)
	o.name("eventTime")
	o.b = append(c.began.UTC().AppendFormat(append(o.b, '"'), time.RFC3339), '"') // which is timeFormat in UTC, and faster
	o.text("eventSource", c.Service+".amazonaws.com", longestName)
	o.text("eventName", c.Event, longestName)
	o.text("awsRegion", cmp.Or(c.Region, c.Principal.Region, c.trail.o.Region), longestName)
	if c.address.IsValid() {
		o.name("sourceIPAddress")
		o.b = append(c.address.AppendTo(append(o.b, '"')), '"')
	} else {
		o.text("sourceIPAddress", c.source, longestName)
	}
	o.text("userAgent", c.agent, longestAgent)
	o.text("errorCode", c.code, longestName)
	o.text("errorMessage", c.message, longestMessage)
	clipped := c.values(&o)
	more := o.within("additionalEventData")
	c.additional(&more, clipped)
	o.close(more)
	o.text("requestID", c.id, longestName)
	o.name("eventID")
	o.b = appendUUID(o.b)
	o.truth("readOnly", ReadOnly(c.Event))
	c.resources(&o)
	o.own(`"eventType":"AwsApiCall","managementEvent":true`)
	o.text("recipientAccountId", cmp.Or(c.Account, c.Principal.Account, c.trail.o.Account), longestName)
	o.own(`"eventCategory":"Management"`)
	return o.b
}

// values writes parameters, and the answer of what changes something: CloudTrail
// shows no others.
func (c *Call) values(o *object) (clipped bool) {
	var cut bool
	o.name("requestParameters")
	if c.Pull != (Pull{}) {
		o.b, clipped = c.Pull.append(o.b)
	} else {
		o.b, clipped = appendValues(o.b, c.Parameters)
	}
	response := c.Response
	if !c.changes() || c.code != "" {
		response = nil
	}
	o.name("responseElements")
	o.b, cut = appendValues(o.b, response)
	return clipped || cut
}

// additional writes what CloudTrail has no member for.
func (c *Call) additional(o *object, clipped bool) {
	o.text("door", string(c.door), longestName)
	o.number("httpStatus", int64(c.status))
	o.number("bytesReceived", c.received.Load())
	o.number("bytesSent", c.sent)
	o.text("denialCode", c.denial, longestName)
	o.text("reference", c.Reference, longestName)
	if clipped || c.short {
		o.truth("clipped", true)
	}
}

func (c *Call) resources(o *object) {
	if len(c.Resources) == 0 {
		return
	}
	o.name("resources")
	o.b = append(o.b, '[')
	for i, r := range c.Resources[:min(len(c.Resources), mostResources)] {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		in := newObject(o.b)
		in.text("ARN", r.ARN, 2*longestName)
		in.text("accountId", r.Account, longestName)
		in.text("type", r.Type, longestName)
		o.b = append(in.b, '}')
	}
	o.b = append(o.b, ']')
}

// identity writes who called ("CloudTrail userIdentity element", user guide).
func (c *Call) identity(o *object) {
	p := c.Principal
	switch f := c.Federated; {
	case f != nil:
		o.text("type", "WebIdentityUser", longestName)
		o.text("principalId", f.Provider+":"+f.Audience+":"+f.Subject, 2*longestName)
		o.text("userName", f.Subject, longestName)
		o.text("identityProvider", f.Provider, longestName)
		return
	case p.Kind == auth.Anonymous, p.IsZero() && c.Claimed == "" && c.ClaimedKey == "":
		o.text("type", "AWSAccount", longestName)
		o.text("principalId", "ANONYMOUS_PRINCIPAL", longestName)
		o.text("accountId", "ANONYMOUS_PRINCIPAL", longestName)
		return
	case p.IsZero():
		o.text("type", "Unknown", longestName)
		o.text("accessKeyId", claimedKey(c.ClaimedKey), longestClaim)
		o.text("userName", c.Claimed, longestClaim)
		return
	}
	o.text("type", identityTypes[p.Kind], longestName)
	o.text("principalId", p.UserID, longestName)
	o.text("arn", p.ARN, 2*longestName)
	o.text("accountId", p.Account, longestName)
	o.text("accessKeyId", p.KeyID, longestName)
	if p.Kind == auth.User {
		o.text("userName", p.Name, longestName)
	}
	if p.Session != nil {
		in := o.within("sessionContext")
		session(&in, p)
		o.close(in)
	}
}

var identityTypes = map[auth.Kind]string{auth.Root: "Root", auth.User: "IAMUser", auth.Role: "AssumedRole"}

// longestClaim is how much is shown of a name that nobody has proved to be his:
// people type passwords there.
const longestClaim = 64

// claimedKey is an access key id that a caller claims, "" for what can be none. A
// secret that was put in its place has other characters or is longer (IAM API
// reference, AccessKey: 16 to 128 word characters; AWS's own have 20).
func claimedKey(id string) string {
	const longest = 32
	word := strings.IndexFunc(id, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
	if len(id) > longest || !word {
		return Hidden
	}
	return id
}

func session(o *object, p auth.Principal) {
	s := p.Session
	if s.Issuer != "" {
		in := o.within("sessionIssuer")
		in.text("type", "Role", longestName)
		in.text("principalId", s.IssuerID, longestName)
		in.text("arn", s.Issuer, 2*longestName)
		in.text("accountId", p.Account, longestName)
		in.text("userName", p.Name, longestName)
		o.close(in)
	}
	if s.Provider != "" {
		in := o.within("webIdFederationData")
		in.text("federatedProvider", s.Provider, longestName)
		subject := in.within("attributes")
		subject.text("subject", s.Subject, longestName)
		in.close(subject)
		o.close(in)
	}
	in := o.within("attributes")
	if !s.Issued.IsZero() {
		in.text("creationDate", s.Issued.UTC().Format(timeFormat), longestName)
	}
	in.text("mfaAuthenticated", strconv.FormatBool(s.MFA), longestName)
	o.close(in)
	o.text("sourceIdentity", s.SourceIdentity, longestName)
}

// readers are what the names of operations that change nothing begin with.
// CloudTrail counts the handing out of credentials among them.
var readers = []string{"Get", "List", "Describe", "BatchGet", "BatchCheck", "Validate", "Assume", Unknown}

// ReadOnly says whether an operation of ECR's or STS's API only reads, by its
// name.
func ReadOnly(event string) bool {
	for _, prefix := range readers {
		if strings.HasPrefix(event, prefix) {
			return true
		}
	}
	return false
}

// service writes a record of the trail itself, without the last brace.
func (t *Trail) service(event string, details Fields) []byte {
	o := newObject(nil)
	o.text("eventVersion", eventVersion, longestName)
	o.own(`"userIdentity":{"type":"AWSService","invokedBy":"berth"}`)
	o.text("eventTime", t.o.Now().UTC().Format(timeFormat), longestName)
	o.text("eventSource", "cloudtrail.amazonaws.com", longestName)
	o.text("eventName", event, longestName)
	o.text("awsRegion", t.o.Region, longestName)
	o.name("eventID")
	o.b = appendUUID(o.b)
	o.truth("readOnly", false)
	o.text("eventType", "AwsServiceEvent", longestName)
	o.truth("managementEvent", true)
	o.text("recipientAccountId", t.o.Account, longestName)
	if details != nil {
		o.name("serviceEventDetails")
		o.b, _ = appendValues(o.b, details)
	}
	o.text("eventCategory", "Management", longestName)
	return o.b
}

// appendUUID adds a random UUID (RFC 9562, version 4) in quotes.
func appendUUID(dst []byte) []byte {
	var b [16]byte
	rand.Read(b[:]) // does not fail: crypto/rand
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	dst = hex.AppendEncode(append(dst, '"'), b[:4])
	for _, part := range [][]byte{b[4:6], b[6:8], b[8:10], b[10:]} {
		dst = hex.AppendEncode(append(dst, '-'), part)
	}
	return append(dst, '"')
}

// timeOf reads the time of a record's line, or is zero.
func timeOf(text string) time.Time {
	t, _ := time.Parse(timeFormat, text)
	return t
}
