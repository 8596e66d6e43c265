package server

import (
	"fmt"
	"strings"

	"github.com/seed-78150930/berth/cmd/internal/shell"
)

// greet says to a person where the server is and how to use it: one block that
// can be copied from. Its last line says that the server answers.
func (s *Server) greet() {
	var b strings.Builder
	first, host := s.ports[0], localHost(homePort(s.keeper.ports).Listen)
	fmt.Fprintf(&b, "Berth %s\n\n", s.options.Version)
	fmt.Fprintf(&b, "  address      %s://%s\n", scheme(first.Port), first.listener.Addr())
	if others := alsoServes(s.ports); others != "" {
		fmt.Fprintf(&b, "  and          %s\n", others)
	}
	fmt.Fprintf(&b, "  data folder  %s\n", s.keeper.store.name())
	if s.local != nil {
		fmt.Fprintf(&b, "  certificates by an authority of its own: \"%s ca\" prints it, \"%[1]s ca trust\" says how to trust it\n", s.options.Program)
	}
	if s.options.Config.Insecure {
		fmt.Fprintf(&b, "\nInsecure: other machines are let in without TLS. Whoever is on the way between can read and\nchange passwords and layers.\n")
	}
	s.sayKey(&b)
	fmt.Fprintf(&b, "\nTo log in and push an image, in another terminal:\n\n")
	for _, line := range []string{
		fmt.Sprintf(`eval "$(%s env %s)"`, shell.Quote(s.options.Program), s.findMe()),
		"aws ecr create-repository --repository-name team/app",
		"aws ecr get-login-password | docker login -u AWS --password-stdin " + host,
		"docker pull alpine && docker tag alpine " + host + "/team/app:1.0",
		"docker push " + host + "/team/app:1.0",
	} {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	fmt.Fprintf(&b, "\nready\n")
	_, _ = fmt.Fprint(s.options.Out, b.String()) // a closed terminal is no reason to stop
	s.log.Info("ready", "address", first.listener.Addr().String(), "data", s.keeper.store.name(), "version", s.options.Version)
}

// sayKey says by which key the server is used.
func (s *Server) sayKey(b *strings.Builder) {
	c := s.options.Config
	if s.root.ID != "" {
		fmt.Fprintf(b, "\nThe root key of account %s, shown this once:\n\n", c.Account)
		fmt.Fprintf(b, "  AWS_ACCESS_KEY_ID=%s\n  AWS_SECRET_ACCESS_KEY=%s\n", s.root.ID, s.root.Secret.Reveal())
	}
	if !c.Root.IsZero() {
		fmt.Fprintf(b, "  root key     %s of account %s, from the environment\n", c.Root.ID, c.Account)
	}
	if c.Dev {
		fmt.Fprintf(b, "\nFor development: anybody on this machine may do everything with the keys test/test (account\n"+
			"000000000000), testing/testing (123456789012) or any account id and the secret \"test\".\n")
	}
}

// findMe are the flags by which commands find this server from any folder.
func (s *Server) findMe() string {
	if s.keeper.store.dir != nil {
		return "--data " + shell.Quote(s.keeper.store.dir.Path())
	}
	return "--data :memory: --listen " + shell.Quote(s.keeper.ports[0].Listen)
}
