package keybox

import (
	"filippo.io/age"

	"github.com/seed-78150930/berth/auth/accounts"
)

// EasyPassphrase is Passphrase with less work for who guesses, and for a test.
func EasyPassphrase(text accounts.Secret) (Lock, error) {
	r, err := age.NewScryptRecipient(text.Reveal())
	if err != nil {
		return Lock{}, err
	}
	r.SetWorkFactor(8)
	return Lock{[]age.Recipient{r}}, nil
}
