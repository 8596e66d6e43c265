package server

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

// Environment implements admin.Keeper.
func (s *Server) Environment(ctx context.Context) (admin.Environment, error) {
	return s.keeper.Environment(ctx)
}

// Status implements admin.Server.
func (s *Server) Status(ctx context.Context) (admin.Status, error) {
	c := s.config.Load()
	st := admin.Status{
		Version: s.options.Version, PID: os.Getpid(), Started: s.started,
		Address: s.ports[0].listener.Addr().String(), URL: url(s.ports[0].Port), Listeners: s.listeners(), Metrics: s.metricsURL(),
		Data: s.keeper.store.name(), Account: c.Account, Region: c.Region, Dev: c.Dev,
		RepositoryURI: c.RepositoryURI, External: c.External,
		Ready: true, Config: *s.shown.Load(),
	}
	if err := s.keeper.clock.Held(); err != nil {
		st.Clock = err.Error()
	}
	st.Refused, st.Disk = s.writeState().Refused, s.diskState()
	st.Index = s.keeper.store.indexState()
	err := s.ready(ctx)
	if err == nil {
		st.Jobs, err = s.jobStates(ctx)
	}
	if err != nil {
		st.Ready, st.Fault = false, err.Error()
	}
	return st, nil
}

// listeners says of each port what it is.
func (s *Server) listeners() []admin.Listener {
	var all []admin.Listener
	for _, p := range s.ports {
		all = append(all, admin.Listener{Address: p.listener.Addr().String(), URL: url(p.Port), Compat: p.Compat})
	}
	return all
}

// Reload implements admin.Server.
func (s *Server) Reload(context.Context) (admin.Reloaded, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	done, err := s.reload()
	if err != nil {
		bad := *s.shown.Load()
		bad.Error = err.Error()
		s.shown.Store(&bad)
		s.log.Error("configuration refused, the old one stays in force", "error", err)
		return admin.Reloaded{}, err
	}
	s.shown.Store(&admin.Config{File: s.options.Config.File, Loaded: time.Now(), Waiting: done.Waiting})
	s.log.Info("configuration taken", "changed", done.Changed, "waiting", done.Waiting)
	return done, nil
}

func (s *Server) reload() (admin.Reloaded, error) {
	if s.options.Reload == nil {
		return admin.Reloaded{}, errors.New("this server has no configuration to read again")
	}
	next, err := s.options.Reload()
	if err != nil {
		return admin.Reloaded{}, err
	}
	renewed, changed, waiting := s.config.Load().Renew(next)
	if err := s.take(renewed); err != nil {
		return admin.Reloaded{}, err
	}
	s.obeyReadOnly(renewed)
	return admin.Reloaded{Changed: changed, Waiting: waiting}, nil
}
