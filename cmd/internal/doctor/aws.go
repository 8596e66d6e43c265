package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/endpoint"
)

// ErrNoCredentials says that AWS's tools would find none here.
var ErrNoCredentials = errors.New("neither the environment nor a profile has AWS credentials")

// envFor is the command that sets AWS's variables for this server.
const envFor = `eval "$(berth env)"`

// checkAWS says where AWS's tools go here, and as whom.
func checkAWS(ctx context.Context, v *visit) []Finding {
	all := []Finding{v.endpointURL()}
	all = append(all, v.cli(ctx)...)
	all = append(all, v.region(), v.proxy())
	return append(all, v.credentials(ctx))
}

// api is the variable that leads AWS's tools elsewhere than to Amazon; that of a
// service wins.
func (v *visit) api() (name, value string) {
	for _, name := range []string{"AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL"} {
		if value := v.Env(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

func (v *visit) endpointURL() Finding {
	f := Finding{Check: "aws.endpoint", Status: Warn, Mend: envFor}
	name, value := v.api()
	u, err := url.Parse(value)
	switch {
	case name == "" && v.isAmazonsName():
		f.Status, f.Found, f.Mend = OK, "AWS_ENDPOINT_URL is not set, so AWS's tools go where Amazon's names lead", ""
	case name == "":
		f.Found = "AWS_ENDPOINT_URL is not set, so AWS's tools go to Amazon"
	case strings.EqualFold(v.Env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true"):
		f.Found = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS has AWS's tools go to Amazon, whatever " + name + " is"
	case err != nil || u.Host == "":
		f.Status, f.Found = Fail, name+" is no URL: "+value
	case !v.leadsHere(u):
		f.Found = fmt.Sprintf("%s is %s, which is not this server", name, value)
	case u.Scheme != "https" && v.base.Scheme == "https" && portOf(u) == portOf(v.base):
		f.Status, f.Found = Fail, fmt.Sprintf("%s is %s, and the server speaks TLS there", name, value)
	default:
		f.Status, f.Found, f.Mend = OK, fmt.Sprintf("%s is %s", name, value), ""
	}
	return f
}

// isAmazonsName says that the server is asked for by a name of Amazon's own.
func (v *visit) isAmazonsName() bool {
	if v.base == nil {
		return false
	}
	h := endpoint.ParseHost(v.base.Host)
	return h.Kind == endpoint.Registry && h.Suffix == endpoint.Suffix(h.Region)
}

// leadsHere says whether a URL is one of the server's.
func (v *visit) leadsHere(u *url.URL) bool {
	switch {
	case v.base == nil:
		return false
	case v.Status != nil && v.has(u):
		return true
	case strings.EqualFold(u.Host, v.base.Host), v.Config.External != "" && strings.TrimSuffix(u.String(), "/") == strings.TrimSuffix(v.Config.External, "/"):
		return true
	}
	return isLocalName(u.Hostname()) && isLocalName(v.base.Hostname()) && portOf(u) == portOf(v.base)
}

// cli says whether the AWS CLI heeds the variable.
func (v *visit) cli(ctx context.Context) []Finding {
	path, err := v.Look("aws")
	if err != nil {
		return nil
	}
	out, err := v.Run(ctx, path, "--version")
	name, _, _ := strings.Cut(strings.TrimSpace(out), " ")
	switch {
	case err != nil:
		return []Finding{{"aws.cli", Warn, path + " does not say its version", path + " --version"}}
	case !v.KnowsEndpointURL(out):
		return []Finding{{"aws.cli", Warn, name + " does not know AWS_ENDPOINT_URL and goes to Amazon: give each call --endpoint-url, or have 1.29, 2.13 or newer", envFor}}
	}
	return []Finding{{"aws.cli", OK, name + " knows AWS_ENDPOINT_URL", ""}}
}

// region says whether AWS's tools ask for the server's own region; any that
// exists will do, but finds other repositories.
func (v *visit) region() Finding {
	f := Finding{Check: "aws.region", Status: OK}
	set := cmp.Or(v.Env("AWS_REGION"), v.Env("AWS_DEFAULT_REGION"))
	own := v.Config.Region
	if v.Status != nil {
		own = v.Status.Region
	}
	profile := cmp.Or(v.Env("AWS_PROFILE"), v.Env("AWS_DEFAULT_PROFILE"))
	switch {
	case set == "" && profile != "":
		f.Found = "the region is that of the profile " + profile
	case set == "":
		f.Status, f.Found, f.Mend = Warn, "AWS_REGION is not set: AWS's tools ask for one, unless a profile has it", envFor
	case own != "" && set != own:
		f.Status, f.Found, f.Mend = Warn, fmt.Sprintf("AWS_REGION is %s and the server's own is %s: each region has repositories of its own", set, own), "export AWS_REGION="+own
	default:
		f.Found = "AWS_REGION is " + set
	}
	return f
}

// proxy says whether a proxy stands between. Names below localhost go by it too
// in most programs.
func (v *visit) proxy() Finding {
	if v.base == nil {
		return Finding{"aws.proxy", Skipped, "the server's address is not known", ""}
	}
	name := strings.ToUpper(v.base.Scheme) + "_PROXY"
	proxy := cmp.Or(v.Env(name), v.Env(strings.ToLower(name)))
	host := v.base.Hostname()
	switch {
	case proxy == "":
		return Finding{"aws.proxy", OK, "no proxy is set for " + v.base.Scheme, ""}
	case covers(cmp.Or(v.Env("NO_PROXY"), v.Env("no_proxy")), host):
		return Finding{"aws.proxy", OK, name + " is set, and NO_PROXY leaves out " + host, ""}
	}
	f := Finding{"aws.proxy", Warn, fmt.Sprintf("%s sends what is meant for %s to a proxy", name, host), fmt.Sprintf(`export NO_PROXY="${NO_PROXY:+$NO_PROXY,}%s"`, host)}
	if isLoopbackName(host) {
		f.Found += ": programs in Go make an exception of loopback, others (aws, curl) do not"
	}
	return f
}

// covers says whether a list as NO_PROXY's has a host, or a domain that it is
// in.
func covers(list, host string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(entry string) bool {
		entry = strings.TrimSpace(entry)
		if entry == "*" || entry == host {
			return true
		}
		domain := strings.TrimPrefix(strings.TrimPrefix(entry, "*"), ".")
		return domain != "" && strings.HasSuffix(host, "."+domain)
	})
}

// credentials asks for a password as AWS's tools would. Only the server itself
// is asked: a signature tells nobody else anything.
func (v *visit) credentials(ctx context.Context) Finding {
	f := Finding{Check: "aws.credentials", Status: Skipped, Mend: envFor}
	_, value := v.api()
	u, err := url.Parse(value)
	if v.Token == nil || err != nil || value == "" || !v.leadsHere(u) {
		f.Found, f.Mend = "AWS's tools are not led here, so their credentials are not tried", ""
		return f
	}
	err = v.Token(ctx, strings.TrimSuffix(value, "/"), cmp.Or(v.Env("AWS_REGION"), v.Env("AWS_DEFAULT_REGION"), "us-east-1"), v.Env("AWS_CA_BUNDLE"))
	switch {
	case errors.Is(err, ErrNoCredentials):
		f.Status, f.Found = Warn, err.Error()
	case err != nil:
		f.Status, f.Found = Fail, "the credentials of AWS's tools do not get a password: "+oneLine(err.Error())
	default:
		f.Status, f.Found, f.Mend = OK, "the credentials of AWS's tools get a password of "+value, ""
	}
	return f
}
