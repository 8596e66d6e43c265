package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
)

// maxMessage is more than any message takes. The longest say of each image of a
// repository what becomes of it, with all of its tags.
const maxMessage = 512 << 20

// wireKey is a key on the socket. Unlike accounts.Key it shows its secret.
type wireKey struct {
	ID          string    `json:"id"`
	Secret      string    `json:"secret,omitempty"`
	Account     string    `json:"account"`
	Description string    `json:"description,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
	Active      bool      `json:"active"`
	Static      bool      `json:"static,omitempty"`
}

func toWire(k accounts.Key) wireKey {
	return wireKey{k.ID, k.Secret.Reveal(), k.Account, k.Description, k.CreatedAt, k.Active, k.Static}
}

func (k wireKey) key() accounts.Key {
	return accounts.Key{
		ID: k.ID, Secret: accounts.NewSecret(k.Secret), Account: k.Account, Description: k.Description,
		CreatedAt: k.CreatedAt, Active: k.Active, Static: k.Static,
	}
}

type wireEnvironment struct {
	Endpoint string  `json:"endpoint"`
	Region   string  `json:"region"`
	Key      wireKey `json:"key"`
	CA       string  `json:"ca,omitempty"`
}

type wireError struct {
	Error string `json:"error"`
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the asker is gone, and will see that it is
}

func readJSON(r io.Reader, v any) error {
	err := json.NewDecoder(io.LimitReader(r, maxMessage)).Decode(v)
	if errors.Is(err, io.EOF) {
		return nil // nothing was said
	}
	return err
}
