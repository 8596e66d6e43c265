package server

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/registry/remote"
	"github.com/seed-78150930/berth/registry/scan/vulndb"
)

// vulnerabilities is the vulnerability database of the server. It is an
// admin.Vulnerabilities.
type vulnerabilities struct {
	*vulndb.Keeper
	passing string // folder that goes with the server, "" if it lies in the data folder
}

// openVulnerabilities opens the database in the data folder, or for a server that keeps
// nothing in a folder that goes with it.
func (s *Server) openVulnerabilities() (*vulnerabilities, error) {
	c := s.options.Config
	client, err := remote.New(remote.Options{
		Allow: c.Egress.Allow, PlainHTTP: c.Egress.PlainHTTP, Redirects: remote.MostRedirects, Resolver: s.options.seams.names,
	})
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	v := new(vulnerabilities)
	folder := ""
	if dir := s.keeper.store.dir; dir != nil {
		folder = dir.Vulnerabilities()
	} else if v.passing, err = os.MkdirTemp("", "berth-vulndb-*"); err == nil {
		folder = v.passing
	}
	if err != nil {
		return nil, fmt.Errorf("vulnerability database: %w", err)
	}
	v.Keeper, err = vulndb.NewKeeper(vulndb.KeeperOptions{
		Folder: folder, Client: client, Now: s.keeper.clock.Now, Log: s.log,
		Settings: func() vulndb.Settings {
			if now := s.config.Load(); now != nil {
				return databaseSettings(now)
			}
			return databaseSettings(c)
		},
	})
	return v, err
}

func databaseSettings(c *config.Config) vulndb.Settings {
	d := c.Scanning.Database
	s := vulndb.Settings{Directory: d.Directory, URL: d.URL, Interval: d.Interval, MaxAge: d.MaxAge}
	if len(d.Ecosystems) > 0 {
		s.Ecosystems = d.Ecosystems
	}
	return s
}

// Wake has the database looked after when settings have changed. A server that has not
// come as far as that has none.
func (v *vulnerabilities) Wake() {
	if v != nil {
		v.Keeper.Wake()
	}
}

// Close removes what goes with the server.
func (v *vulnerabilities) Close() error {
	if v == nil || v.passing == "" {
		return nil
	}
	return os.RemoveAll(v.passing)
}

// teller tells of the database.
func (v *vulnerabilities) teller(s *Server) prometheus.Collector {
	figure := func(of func(vulndb.Info) float64) func(vulndb.Status) float64 {
		return func(st vulndb.Status) float64 {
			if st.Database == nil {
				return 0
			}
			return of(*st.Database)
		}
	}
	return told(s, func(context.Context) (vulndb.Status, error) { return v.Status(), nil },
		gauge("berth_scan_database_usable", "1 if there is a vulnerability database that scans may use, else 0.", func(st vulndb.Status) float64 { return truth(st.Unusable == "") }),
		gauge("berth_scan_database_age_seconds", "How long ago its records were fetched, or the oldest of its zips written; 0 if there is none.",
			figure(func(i vulndb.Info) float64 { return s.keeper.clock.Now().Sub(i.AsOf).Round(time.Second).Seconds() })),
		gauge("berth_scan_database_records", "Records of it that packages are held against.", figure(func(i vulndb.Info) float64 { return float64(i.Records) })),
		gauge("berth_scan_database_unreadable_records", "Records that could not be read when it was compiled.", figure(func(i vulndb.Info) float64 { return float64(i.Unreadable) })),
		gauge("berth_scan_database_failed", "1 if the last look for newer records failed, else 0.", func(st vulndb.Status) float64 { return truth(st.Failed != "") }),
	)
}
