package server

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/heal"
	"github.com/seed-78150930/berth/registry/remote"
)

// healRedirects is how many redirects of another registry are followed: layers often
// lie elsewhere.
const healRedirects = 5

// openHealing makes the healer that the configuration asks for.
func (s *Server) openHealing() error {
	c := s.options.Config
	if len(c.HealFrom) == 0 {
		return nil
	}
	client, err := remote.New(remote.Options{Allow: c.Egress.Allow, PlainHTTP: c.Egress.PlainHTTP, Redirects: healRedirects})
	if err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	var places []heal.Place
	for _, from := range c.HealFrom {
		p, err := healPlace(from)
		if err != nil {
			return err
		}
		places = append(places, p)
	}
	sources, err := heal.New(client, places)
	s.healer = func(ctx context.Context) error { return s.registry.Heal(ctx, sources) }
	return err
}

func healPlace(from config.HealFrom) (heal.Place, error) {
	p := heal.Place{URL: from.URL}
	if from.CredentialsFile == "" {
		return p, nil
	}
	text, err := os.ReadFile(from.CredentialsFile)
	if err != nil {
		return p, fmt.Errorf("credentials of heal-from %s: %w", from.URL, err)
	}
	user, password, ok := strings.Cut(strings.TrimSpace(string(text)), ":")
	if !ok || user == "" {
		return p, fmt.Errorf("credentials of heal-from %s: %s is not user:password", from.URL, from.CredentialsFile)
	}
	p.User, p.Password = user, accounts.NewSecret(password)
	return p, nil
}

// compare holds the index against its journal.
func (k *Keeper) compare(ctx context.Context, most int) (list []registry.Fault, err error) {
	c, err := k.store.kept.Compare(ctx, most)
	for _, d := range c.Differences {
		list = append(list, registry.Fault{Kind: registry.FaultJournal, Row: strings.ReplaceAll(d.Key, "\x00", " "), Text: "between index and journal: " + string(d.Kind)})
	}
	return list, err
}
