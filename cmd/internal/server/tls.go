package server

import (
	"crypto/tls"
	"path/filepath"

	"github.com/seed-78150930/berth/cmd/internal/certs"
	"github.com/seed-78150930/berth/cmd/internal/config"
)

// openTLS makes what the ports speak TLS by; nil where they do not.
func (s *Server) openTLS() (*tls.Config, error) {
	c := s.options.Config
	if !c.TLS.On() {
		return nil, nil
	}
	src, err := s.openCerts(c.TLS)
	if err != nil {
		return nil, err
	}
	return certs.Config(src), nil
}

// openCerts opens where certificates come from.
func (s *Server) openCerts(c config.TLS) (certs.Source, error) {
	switch c.Auto {
	case "local":
		local, err := s.openLocal()
		s.local = local
		return local, err
	case "acme":
		return certs.NewACME(certs.ACMEOptions{
			Hosts: c.ACMEHosts, Email: c.ACMEEmail, Directory: c.ACMEDirectory,
			CacheDir: filepath.Join(s.keeper.store.dir.TLS(), "acme"), Log: s.log,
		})
	}
	return certs.OpenFiles(c.Cert, c.Key, s.log)
}

// openLocal opens the authority of the data folder; a server in memory has one
// for as long as it runs.
func (s *Server) openLocal() (*certs.Local, error) {
	o := certs.LocalOptions{Trusts: func(host string) bool { return s.ports[0].doors.Load().names.Trusts(host) }}
	if s.keeper.store.dir == nil {
		return certs.NewLocal(o)
	}
	return certs.OpenLocal(s.keeper.store.dir.TLS(), o)
}
