package server

import (
	"crypto/tls"
	"errors"
)

// openTLS makes what the ports speak TLS by; nil where they do not.
func (s *Server) openTLS() (*tls.Config, error) {
	if s.options.Config.TLS.On() {
		return nil, errors.New("TLS is not available in this build")
	}
	return nil, nil
}
