package audit

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-78150930/berth/auth"
)

// Door is where a call came in.
type Door string

// The doors.
const (
	OCI       Door = "oci"    // /v2/
	Links     Door = "layers" // signed links to layers
	ECR       Door = "ecr"
	STS       Door = "sts"
	Container Door = "container-credentials" // for tools on the same machine
)

// Call is one request on its way, as its record will tell of it. A door fills
// in the members as it learns them, all before it answers; none is needed. A
// Call is used by one goroutine.
type Call struct {
	// Service is "ecr" or "sts", and Event the operation of its API.
	Service, Event string
	// Principal is who called, once that is proved. Before that Claimed is the
	// name that a caller gave himself, ClaimedKey his access key id.
	Principal           auth.Principal
	Claimed, ClaimedKey string
	// Federated is a web identity that called, once its token is proved; nil for
	// others.
	Federated *Federated
	// Account and Region are those of the registry that the call is about.
	Account, Region string
	Resources       []Resource
	// Reference is more of what the call is about, such as a path that is none of
	// the door's.
	Reference string
	// Parameters and Response are Fields, or structures with json tags: of
	// strings, numbers, truths, lists and such structures. Members that hold
	// secrets are hidden by their names. Response is looked at for calls that
	// change something, when they have been answered.
	Parameters, Response any
	// Pull, if it is not zero, stands for Parameters.
	Pull Pull
	// Answering, if it is set, is called before the answer goes out.
	Answering func(status int, h http.Header)

	trail    *Trail
	answer   answer
	door     Door
	began    time.Time
	id       string
	source   string
	address  netip.Addr // in its place, if it is known
	first    [1]Resource
	agent    string
	basic    string // header by which a name is claimed
	refusal  error
	code     string
	message  string
	denial   string
	status   int
	sent     int64
	received atomic.Int64
	answered bool // the door came to its end
	recorded bool
	held     bool // room for the record is taken
	short    bool // the record had to be made shorter than its members are
}

// Pull is what the parameters of a read of an image or a layer are. Nearly all calls are
// such, so they are written without more ado. "" is left out.
type Pull struct {
	RegistryID, RepositoryName string
	// Of an image, by its tag, its digest or both.
	ImageTag, ImageDigest string
	// Of a layer that is read, or looked for.
	LayerDigest, SoughtLayer string
}

// Federated is a web identity: who an issuer says that somebody is.
type Federated struct{ Provider, Audience, Subject string }

// Unknown is the event of a call that names no operation.
const Unknown = "UnknownOperation"

// Begin begins the call of a request. The door must go on with the writer and
// the request that come with it, and end the call.
func (t *Trail) Begin(w http.ResponseWriter, r *http.Request, door Door) (*Call, http.ResponseWriter, *http.Request) {
	c := &Call{trail: t, door: door, Service: "ecr"}
	if t == nil {
		return c, w, r
	}
	about := auth.RequestOf(r.Context())
	c.began, c.id, c.agent = t.o.Now(), about.ID, r.UserAgent()
	c.source = r.RemoteAddr
	if about.SourceIP.IsValid() {
		c.address = about.SourceIP
	} else if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		c.source = host
	}
	if door == STS || door == Container {
		c.Service = "sts"
	}
	if t.o.Required {
		c.refusal = t.reserve()
		c.held = c.refusal == nil
	}
	if ctx := auth.WithCall(r.Context(), c); ctx != r.Context() {
		r = r.WithContext(ctx)
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &countedBody{r.Body, &c.received}
	}
	c.answer = answer{w, c}
	return c, &c.answer, r
}

// Of returns the call that ctx is in the course of, or one that is never
// recorded.
func Of(ctx context.Context) *Call {
	if c, ok := auth.CallOf(ctx).(*Call); ok {
		return c
	}
	return new(Call)
}

// Refused is an ErrUnavailable if the call cannot be recorded though it must be.
// The door must do nothing then but say so.
func (c *Call) Refused() error { return c.refusal }

// On notes a resource of the call.
func (c *Call) On(arn, account, kind string) {
	if c.Resources == nil {
		c.Resources = c.first[:0]
	}
	c.Resources = append(c.Resources, Resource{arn, account, kind})
}

// ClaimSigned notes the access key by which a request claims to be signed, in its
// header or in its query (Signature Version 4).
func (c *Call) ClaimSigned(r *http.Request) {
	if c.trail == nil {
		return
	}
	_, claim, found := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if !found {
		claim = r.URL.Query().Get("X-Amz-Credential")
	}
	c.ClaimedKey, _, _ = strings.Cut(claim, "/")
}

// ClaimBasic notes the name that a request gives in a Basic header.
func (c *Call) ClaimBasic(r *http.Request) { c.basic = r.Header.Get("Authorization") }

// claimBasic reads it, for a record of who did not prove to be anybody.
func (c *Call) claimBasic() {
	if c.basic != "" && c.Claimed == "" && c.Principal.IsZero() {
		c.Claimed, _, _ = (&http.Request{Header: http.Header{"Authorization": {c.basic}}}).BasicAuth()
	}
}

// Fail notes that the call is answered by an error. err may be a *auth.Denied,
// whose code is noted too.
func (c *Call) Fail(code, message string, err error) {
	c.code, c.message = code, message
	var denied *auth.Denied
	if errors.As(err, &denied) {
		c.denial = denied.Code
	}
}

// Answered notes that the door came to its end. A call that ends without it
// broke off.
func (c *Call) Answered() { c.answered = true }

// End records the call, unless it is recorded already. A door defers it.
func (c *Call) End() {
	if c.trail == nil {
		return
	}
	if !c.answered && c.code == "" {
		c.code, c.message = "InternalFailure", "The request broke off."
		if c.status == 0 {
			c.status = http.StatusInternalServerError
		}
	}
	c.keep()
	if c.held {
		c.trail.release()
	}
}

// changes says whether the answer may tell of something that is new: of a change
// or of credentials.
func (c *Call) changes() bool {
	return !ReadOnly(c.Event) || c.Service == "sts" || c.Event == "GetAuthorizationToken" || c.Event == "GetBearerToken"
}

// answering is called when the answer begins.
func (c *Call) answering(status int, h http.Header) {
	c.status = status
	if c.Answering != nil {
		c.Answering(status, h)
	}
	if c.changes() && c.refusal == nil {
		c.keep()
		c.trail.settle()
	}
}

// keep hands the record over, once.
func (c *Call) keep() {
	if c.recorded {
		return
	}
	c.recorded = true
	if c.refusal != nil {
		c.trail.countRefused()
		return
	}
	if c.status == 0 {
		c.status = http.StatusOK // as the server does for who writes nothing
	}
	if c.Event == "" {
		c.Event = Unknown
	}
	c.claimBasic()
	scratch := c.trail.scratch.Get().(*[]byte)
	defer c.trail.scratch.Put(scratch)
	line := c.record((*scratch)[:0])
	if len(line) > longestLine-chainSpace {
		c.Pull, c.Parameters, c.Response, c.message, c.agent, c.short = Pull{}, nil, nil, "", "", true
		line = c.record(line[:0])
	}
	c.trail.add(line)
	*scratch = line
}

// countedBody is a request's body that counts what is read of it.
type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// answer is a response that tells its call of its beginning and its length. It
// passes on what the server's own can do.
type answer struct {
	http.ResponseWriter
	call *Call
}

// Unwrap lets an http.ResponseController find the server's own.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter. Those of 1xx are not the answer.
func (a *answer) WriteHeader(status int) {
	if status >= http.StatusOK {
		a.begin(status)
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) begin(status int) {
	if a.call.status == 0 {
		a.call.answering(status, a.Header())
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.begin(http.StatusOK)
	n, err := a.ResponseWriter.Write(p)
	a.call.sent += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom, so that copies of files go by sendfile.
func (a *answer) ReadFrom(src io.Reader) (n int64, err error) {
	a.begin(http.StatusOK)
	if to, ok := a.ResponseWriter.(io.ReaderFrom); ok {
		n, err = to.ReadFrom(src)
	} else {
		n, err = io.Copy(struct{ io.Writer }{a.ResponseWriter}, src)
	}
	a.call.sent += n
	return n, err
}

// Flush implements http.Flusher.
func (a *answer) Flush() {
	a.begin(http.StatusOK)
	_ = http.NewResponseController(a.ResponseWriter).Flush()
}
