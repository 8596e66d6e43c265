package credentials

import (
	"context"
	"errors"

	"github.com/seed-78150930/berth/auth"
)

// A guess is what shows that its sender does not know the secret of the name that it
// is for. What this server made and what has ended since is none: clients go on
// showing it without wanting to guess anything.

// nobodys is the name of what is not a guess at anyone's secret: it counts for its
// address alone. A key that is not there is known for that by AWS's code for it.
const nobodys = ""

// errForged is an ErrBadPassword of a registry password that this server did not make.
// It is nobody's in particular, so that it counts for its address alone.
var errForged = passwordError("the password is not of this server")

// errGuess is an ErrBadPassword for a name.
var errGuess = passwordError("the name and the password do not go together")

// passwordError is an ErrBadPassword that says no more.
type passwordError string

func (passwordError) Error() string        { return ErrBadPassword.Error() }
func (passwordError) Is(target error) bool { return target == ErrBadPassword }

// noteGuess counts a log-in that failed if it was a guess, and returns the error to
// answer with: a *throttle.Exceeded where there were too many.
func (v *Verifier) noteGuess(ctx context.Context, name string, err error) error {
	switch {
	case errors.Is(err, errForged):
		return v.noteWrongSecret(ctx, nobodys, err)
	case !errors.Is(err, errGuess):
		return err
	case v.isKeyID(name), isRobotID(name):
		return v.noteWrongSecret(ctx, name, err)
	}
	if often := v.guard.Failed(auth.RequestOf(ctx).SourceIP, name); often != nil {
		return often
	}
	return err
}

// noteWrongSecret counts a request whose signature, or secret, is not its key's.
func (v *Verifier) noteWrongSecret(ctx context.Context, keyID string, err error) error {
	if often := v.guard.FailedKey(auth.RequestOf(ctx).SourceIP, keyID); often != nil {
		return often
	}
	return err
}

// suspended refuses a key's id, as a *throttle.Exceeded, whose secret has been guessed
// at from the address and could be.
func (v *Verifier) suspended(ctx context.Context, keyID string) error {
	if !v.accounts.Guessable(keyID) {
		return nil
	}
	return v.guard.Suspended(auth.RequestOf(ctx).SourceIP, keyID)
}

// blocked refuses a person's name, as a *throttle.Exceeded, whose password has been
// guessed at from the address, or where too many others' have been: each look costs
// the memory and time of a hash.
func (v *Verifier) blocked(ctx context.Context, name string) error {
	return v.guard.Blocked(auth.RequestOf(ctx).SourceIP, name)
}
