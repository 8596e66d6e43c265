package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func checkConfig(_ context.Context, v *visit) []Finding {
	switch {
	case v.Host != "" && !v.home:
		return nil // it is another server's
	case v.ConfigErr != nil:
		return []Finding{{"config", Fail, "the configuration is refused: " + oneLine(v.ConfigErr.Error()), "mend what it names, then: berth reload"}}
	case v.Status != nil && v.Status.Config.Error != "":
		return []Finding{{"config", Warn, "an older configuration is in force, since the last one was refused: " + oneLine(v.Status.Config.Error), "mend what it names, then: berth reload"}}
	case v.Status != nil && len(v.Status.Config.Waiting) > 0:
		return []Finding{{"config", Warn, "changed, and in force with the next start: " + strings.Join(v.Status.Config.Waiting, ", "), "restart the server"}}
	}
	return []Finding{{"config", OK, "the configuration is right", ""}}
}

// oneLine is a text of several lines as one.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }), "; ")
}

// checkServer says whether the server is there and answers as one.
func checkServer(ctx context.Context, v *visit) []Finding {
	if v.Host == "" && v.Status == nil {
		return []Finding{v.noServer()}
	}
	if v.Status != nil && !v.Status.Ready {
		return []Finding{{"server", Fail, fmt.Sprintf("process %d is not ready: %s", v.Status.PID, v.Status.Fault), "look at the server's log"}}
	}
	if v.base == nil {
		return []Finding{{"server", Fail, "the address of the server makes no sense", "berth doctor localhost:5000"}}
	}
	return []Finding{v.judge("server", v.base.String(), v.probe(ctx, v.base.String()))}
}

func (v *visit) noServer() Finding {
	f := Finding{Check: "server", Status: Fail, Mend: "berth serve"}
	switch {
	case errors.Is(v.StatusErr, admin.ErrNotRunning):
		f.Found = v.StatusErr.Error()
	case v.StatusErr != nil:
		f.Found, f.Mend = "the server cannot be asked: "+v.StatusErr.Error(), "run this as the user that the server runs as"
	default:
		f.Found = "no server is running"
	}
	return f
}

// judge says what an answer of /v2/ means.
func (v *visit) judge(name, base string, a answer) Finding {
	f := Finding{Check: name, Status: Fail}
	switch {
	case a.plain:
		f.Found, f.Mend = base+" speaks plain HTTP", "berth doctor http://"+strings.TrimPrefix(base, "https://")
	case a.err != nil:
		f.Found, f.Mend = base+" does not answer: "+short(a.err), "berth serve, and see that no firewall is between"
	case a.secure:
		f.Found, f.Mend = base+" speaks TLS", "berth doctor https://"+strings.TrimPrefix(base, "http://")
	case !a.ours:
		f.Found, f.Mend = fmt.Sprintf("%s is answered by somebody else: %s", base, describe(a)), v.otherPort()
	default:
		f.Status, f.Found = OK, v.describeServer(base)
	}
	return f
}

// describe says who answered, as far as he says so himself.
func describe(a answer) string {
	who := fmt.Sprintf("status %d to GET /v2/", a.status)
	if s := a.header.Get("Server"); s != "" {
		who += " from " + s
	}
	if isAirPlay(a) {
		who += ", which is the AirPlay receiver of macOS"
	}
	return who
}

// isAirPlay knows the receiver by its Server header; it takes ports 5000 and
// 7000 from macOS 12 on.
func isAirPlay(a answer) bool { return strings.HasPrefix(a.header.Get("Server"), "AirTunes/") }

func (v *visit) otherPort() string {
	if v.OS == "darwin" {
		return "switch off AirPlay Receiver in System Settings, General, AirDrop & Handoff; or: berth serve --listen 127.0.0.1:5001"
	}
	return "berth serve --listen 127.0.0.1:5001"
}

func (v *visit) describeServer(base string) string {
	if v.Status == nil {
		return base + " answers as a registry of ECR's kind"
	}
	return fmt.Sprintf("process %d, version %s, answers at %s", v.Status.PID, v.Status.Version, base)
}

// checkPorts says who has the server's ports where it does not run, and who is
// in the way on those that clients take for granted.
func checkPorts(ctx context.Context, v *visit) []Finding {
	if v.Host != "" && !v.home {
		return []Finding{v.reach(ctx)}
	}
	var all []Finding
	for _, at := range v.listens() {
		all = append(all, v.port(ctx, at))
	}
	for _, usual := range []string{"127.0.0.1:5000", "127.0.0.1:443"} {
		if f, taken := v.conflict(ctx, usual); taken {
			all = append(all, f)
		}
	}
	return all
}

// listens are the addresses that the server has, or would have.
func (v *visit) listens() []string {
	if v.Status == nil {
		return v.Config.Listen
	}
	var all []string
	for _, l := range v.Status.Listeners {
		all = append(all, l.Address)
	}
	return all
}

// reach is for a server on another machine.
func (v *visit) reach(ctx context.Context) Finding {
	addr := net.JoinHostPort(v.base.Hostname(), portOf(v.base))
	if err := v.knock(ctx, addr); err != nil {
		return Finding{"port", Fail, addr + " cannot be reached: " + err.Error(), "see that the server runs, its name is right and no firewall is between"}
	}
	return Finding{"port", OK, addr + " takes connections", ""}
}

func (v *visit) port(ctx context.Context, listen string) Finding {
	dial := dialable(listen)
	err := v.knock(ctx, dial)
	switch {
	case v.Status != nil && err == nil:
		return Finding{"port", OK, listen + " takes connections", ""}
	case v.Status != nil:
		return Finding{"port", Fail, listen + " takes no connections, though the server listens there: " + err.Error(), "see that no firewall is between, and that limits.connections is not reached"}
	case err == nil:
		return Finding{"port", Fail, fmt.Sprintf("%s, where the server is to listen, is taken by %s", listen, v.occupant(ctx, dial)), v.otherPort()}
	}
	return Finding{"port", OK, listen + " is free", ""}
}

// conflict says who has a port that is not the server's.
func (v *visit) conflict(ctx context.Context, addr string) (Finding, bool) {
	_, port, _ := net.SplitHostPort(addr)
	for _, l := range v.listens() {
		if _, p, err := net.SplitHostPort(l); err == nil && p == port {
			return Finding{}, false
		}
	}
	if v.knock(ctx, addr) != nil {
		return Finding{}, false
	}
	f := Finding{"port", OK, fmt.Sprintf("%s, which is not this server's, is %s", addr, v.occupant(ctx, addr)), ""}
	if port == "443" {
		f.Found += "; AWS-shaped names need it"
	}
	return f, true
}

// knock opens a connection and no more.
func (v *visit) knock(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	conn, err := v.dialLocal(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// dialable is a listening address as one to dial.
func dialable(listen string) string {
	u := asLocal("http://" + listen)
	if u == nil {
		return listen
	}
	return net.JoinHostPort(strings.Replace(u.Hostname(), "localhost", "127.0.0.1", 1), portOf(u))
}

// occupant is who listens on an address: by the kernel's tables, or else by
// what he answers.
func (v *visit) occupant(ctx context.Context, addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	if who := v.listener(port); who != "" {
		return who
	}
	a := v.probe(ctx, (&url.URL{Scheme: "http", Host: addr}).String())
	switch {
	case a.err == nil && a.ours:
		return "another registry of this kind (berth status --data names it by its folder)"
	case a.err == nil && a.status != http.StatusBadRequest:
		return "somebody else: " + describe(a)
	}
	return "somebody else"
}
