package stsapi

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/credentials"
)

// ContainerPath is where tools on the same machine get temporary keys, as tools in a
// container do from AWS (SDKs and tools reference guide, "Container credential
// provider").
const ContainerPath = "/container-credentials"

// containerLife is how long what Container gives lasts. Tools ask again before it
// ends.
const containerLife = time.Hour

// Container answers GET /container-credentials[?role=ARN], asked from this machine:
// an Authorization header "ID:SECRET" of an access key or a robot key is given a
// temporary key of its user, or of a session of a role. AWS tools ask so for
// AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN.
func (a *API) Container() http.Handler { return http.HandlerFunc(a.serveContainer) }

// containerKey is the answer, and what tools know of a refusal.
type containerKey struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	Expiration      string
	RoleArn         string
}

type containerRefusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (a *API) serveContainer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	record, w, r := a.audit.Begin(w, r, audit.Container)
	defer record.End()
	a.respondContainer(w, r, record)
	record.Answered()
}

func (a *API) respondContainer(w http.ResponseWriter, r *http.Request, record *audit.Call) {
	key, err := a.container(r, record)
	if err != nil {
		refused, fault := refusalOf(err)
		record.Fail(refused.code, refused.message, err)
		if fault {
			a.log.ErrorContext(r.Context(), "container credentials failed", "error", err, "request", a.requestID(r.Context()))
		}
		writeJSON(w, refused.status, containerRefusal{refused.code, refused.message})
		return
	}
	record.Response = audit.Fields{temporaryKey{AccessKeyID: key.AccessKeyID, Expiration: key.Expiration}.element()}
	writeJSON(w, http.StatusOK, key)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(text, '\n')) // a client that went away needs no answer
}

var (
	badMethod   = kind{"MethodNotAllowed", http.StatusMethodNotAllowed}
	unknownPair = kind{"InvalidClientTokenId", http.StatusForbidden}
)

func (a *API) container(r *http.Request, record *audit.Call) (containerKey, error) {
	id, secret, ok := strings.Cut(r.Header.Get("Authorization"), ":")
	roles := r.URL.Query()["role"]
	record.Event = "GetSessionToken"
	if len(roles) > 0 {
		note(record, call{params: url.Values{"Action": {"AssumeRole"}, roleARN.name: roles}})
	}
	if ok {
		record.ClaimedKey = id
	}
	if err := unrecorded(record.Refused()); err != nil {
		return containerKey{}, err
	}
	switch {
	case !fromHere(r): // before anything else: from elsewhere there is nothing to learn
		return containerKey{}, refuse(accessDenied, "Credentials are given to tools on this machine alone.")
	case r.Method != http.MethodGet:
		return containerKey{}, refuse(badMethod, "Only GET is answered here.")
	}
	if !ok || len(r.Header.Values("Authorization")) != 1 {
		return containerKey{}, refuse(unknownPair, "The Authorization header must be ID:SECRET of an access key or a robot key.")
	}
	by, err := a.credentials.Pair(r.Context(), id, secret, a.region)
	if err != nil {
		return containerKey{}, err
	}
	record.Principal = by
	switch len(roles) {
	case 0:
		s, err := a.credentials.GetSessionToken(r.Context(), by, containerLife)
		return showContainer(s, by.ARN), err
	case 1:
		s, err := a.credentials.AssumeRole(r.Context(), by, credentials.RoleRequest{Role: roles[0], Name: sessionName(by), Duration: containerLife})
		return showContainer(s.Session, s.Role), err
	}
	return containerKey{}, refuse(validationError, "The parameter role must be sent once")
}

// sessionName is that of a role's session which is got here.
func sessionName(by auth.Principal) string {
	name := "container-" + by.Name
	return name[:min(len(name), roleSessionName.most)]
}

func showContainer(s credentials.Session, arn string) containerKey {
	return containerKey{s.KeyID, s.Secret.Reveal(), s.Token, s.Expires.UTC().Format(time.RFC3339), arn}
}

// fromHere says whether a request came from this machine by itself: not through a
// proxy on it, and not from a page in a browser.
func fromHere(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via", "Origin"} {
		if len(r.Header.Values(name)) > 0 {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	client := auth.RequestOf(r.Context()).SourceIP
	return err == nil && addr.Unmap().IsLoopback() && (!client.IsValid() || client.Unmap().IsLoopback())
}
