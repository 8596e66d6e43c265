package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
)

// The credential helpers that are known here.
const (
	ownHelper     = "berth"
	amazonsHelper = "ecr-login"
	helperPrefix  = "docker-credential-"
)

// passwords is where docker, podman and others look for passwords: Docker's
// config.json, and auth.json, which has the same form.
type passwords struct {
	Auths       map[string]struct{ Auth, IdentityToken string }
	CredHelpers map[string]string
	CredsStore  string
}

// checkLogins says where clients get passwords of the server from.
func checkLogins(_ context.Context, v *visit) []Finding {
	if v.base == nil {
		return []Finding{{"login.docker", Skipped, "the server's address is not known", ""}}
	}
	all := []Finding{v.login("login.docker", v.dockerConfig())}
	if path := v.authFile(); path != "" {
		all = append(all, v.login("login.podman", path))
	}
	return all
}

// dockerConfig is where docker's configuration is.
func (v *visit) dockerConfig() string {
	if dir := v.Env("DOCKER_CONFIG"); dir != "" {
		return filepath.Join(dir, "config.json")
	}
	return filepath.Join(v.Home, ".docker", "config.json")
}

// authFile is the first file that podman and its kin look into before docker's;
// "" if there is none (containers-auth.json(5)).
func (v *visit) authFile() string {
	if path := v.Env("REGISTRY_AUTH_FILE"); path != "" {
		return path
	}
	for _, path := range []string{
		filepath.Join(v.Env("XDG_RUNTIME_DIR"), "containers/auth.json"), filepath.Join(v.Home, ".config/containers/auth.json"),
	} {
		if filepath.IsAbs(path) && v.exists(path) {
			return path
		}
	}
	return ""
}

// login says what a file has for the server.
func (v *visit) login(name, path string) Finding {
	host, f := v.base.Host, Finding{Check: name, Mend: "berth login " + v.base.Host}
	var p passwords
	if text := v.read(path); text != "" && json.Unmarshal([]byte(text), &p) != nil {
		return Finding{name, Fail, path + " is no JSON of Docker's form, so clients refuse it", "mend or remove " + path}
	}
	_, noted := p.Auths[host]
	switch helper := p.CredHelpers[host]; {
	case helper != "":
		f.Status, f.Found, f.Mend = v.helper(path, helper)
	case p.Auths[host].Auth != "" || p.Auths[host].IdentityToken != "":
		f.Status, f.Mend = OK, ""
		f.Found = fmt.Sprintf("%s has a password of %s, which ends twelve hours after it was given", path, host)
	case p.CredsStore != "" && p.CredsStore != ownHelper:
		f.Status, f.Found, f.Mend = v.store(path, p.CredsStore, noted)
	case name == "login.podman":
		f.Status, f.Found, f.Mend = Skipped, fmt.Sprintf("%s has nothing of %s, so docker's configuration counts", path, host), ""
	default:
		f.Status, f.Found = Warn, fmt.Sprintf("nobody is logged in to %s by %s", host, path)
	}
	return f
}

// helper is of a host with a credential helper of its own.
func (v *visit) helper(path, name string) (Status, string, string) {
	host, program := v.base.Host, helperPrefix+name
	_, err := v.Look(program)
	switch {
	case err != nil && name == ownHelper:
		return Fail, fmt.Sprintf("%s has %s asked for %s, which is not on the PATH", path, program, host), "berth login --install-helpers /usr/local/bin"
	case err != nil:
		return Fail, fmt.Sprintf("%s has %s asked for %s, which is not on the PATH", path, program, host), "berth logout " + host + " && berth login " + host
	case name == amazonsHelper && !v.isAmazonsName():
		return Fail, fmt.Sprintf("%s has %s asked for %s, and it refuses every name that is not of Amazon's form", path, program, host), "take " + host + " out of credHelpers in " + path + ", then: berth login " + host
	case name != ownHelper:
		return Warn, fmt.Sprintf("%s has %s asked for %s", path, program, host), "take " + host + " out of credHelpers in " + path + ", then: berth login " + host
	}
	return OK, fmt.Sprintf("%s has %s asked for passwords of %s", path, program, host), ""
}

// store is of a configuration that has one helper for every host.
func (v *visit) store(path, name string, noted bool) (Status, string, string) {
	host, program := v.base.Host, helperPrefix+name
	mend := "berth login " + host
	_, err := v.Look(program)
	switch {
	case err != nil:
		return Warn, fmt.Sprintf("%s has all passwords kept by %s, which is not on the PATH: docker login fails", path, program), mend
	case name == amazonsHelper:
		return Warn, fmt.Sprintf("%s has all passwords asked of %s, which keeps none and refuses every name that is not of Amazon's form", path, program), mend
	case noted:
		return OK, fmt.Sprintf("%s keeps a password of %s, which ends twelve hours after it was given", program, host), ""
	}
	return Warn, fmt.Sprintf("nobody is logged in to %s by %s; %s keeps what docker login is given", host, path, program), mend
}
