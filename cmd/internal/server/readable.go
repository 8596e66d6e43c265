package server

import (
	"log/slog"
	"os"

	"github.com/seed-78150930/berth/cmd/internal/config"
)

// warnReadable says of files with secrets that others on the machine may read them.
// What cannot be looked at fails where it is used.
func warnReadable(log *slog.Logger, c *config.Config) {
	files := []string{c.TLS.Key, c.Identities}
	for _, w := range c.Events.Webhooks {
		files = append(files, w.SecretFile)
	}
	for _, name := range files {
		if name == "" {
			continue
		}
		if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o007 != 0 {
			log.Warn("others on this machine may read a file with secrets", "file", name, "mode", info.Mode().Perm(), "better", "chmod o= "+name)
		}
	}
}
