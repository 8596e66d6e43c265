package admin

import (
	"errors"
	"net/http"
	"slices"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/events"
	"github.com/seed-78150930/berth/storage/backup"
)

// Handler answers on the socket for a server.
func Handler(s Server) http.Handler {
	h := handler{s}
	mux := http.NewServeMux()
	for pattern, fn := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /status":        h.status,
		"POST /reload":       h.reload,
		"GET /environment":   h.environment,
		"POST /calls/{name}": h.call,

		"GET /events":                              h.events,
		"GET /events/latest":                       h.latestEvent,
		"GET /events/dead":                         h.deadLetters,
		"POST /events/dead/{webhook}/{sequence}":   onLetter(s.Replay),
		"DELETE /events/dead/{webhook}/{sequence}": onLetter(s.Drop),

		"POST /lifecycle/test": h.testLifecycle,

		"GET /backup/snapshot": h.snapshot,
		"GET /backup/records":  h.records,
	} {
		mux.HandleFunc(pattern, answering(fn))
	}
	profile(mux)
	return mux
}

type handler struct{ Server }

// answering writes the error of fn.
func answering(fn func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := fn(w, r); err != nil {
			writeJSON(w, statusOf(err), wireError{err.Error()})
		}
	}
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, backup.ErrNoRecords):
		return http.StatusGone
	case isAny(err, accounts.ErrNoKey, accounts.ErrNoUser, accounts.ErrNoGroup, accounts.ErrNoRole, accounts.ErrNoPolicy,
		accounts.ErrNoProvider, accounts.ErrNoRobot, events.ErrNoLetter, events.ErrNoWebhook, ErrNoCall, errNoDenial):
		return http.StatusNotFound
	case isAny(err, accounts.ErrExists, accounts.ErrInUse, accounts.ErrDeclared):
		return http.StatusConflict
	case isAny(err, accounts.ErrStatic, accounts.ErrBadAccount, accounts.ErrLimit, accounts.ErrInvalid, ErrNoPrincipal, errAction),
		errors.As(err, new(*policy.Error)), errors.As(err, new(*credentials.Error)), registry.CodeOf(err) != "":
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// isAny says whether an error is one of several.
func isAny(err error, some ...error) bool {
	return slices.ContainsFunc(some, func(e error) bool { return errors.Is(err, e) })
}

func (h handler) status(w http.ResponseWriter, r *http.Request) error {
	s, err := h.Server.Status(r.Context())
	if err == nil {
		writeJSON(w, http.StatusOK, s)
	}
	return err
}

func (h handler) reload(w http.ResponseWriter, r *http.Request) error {
	done, err := h.Server.Reload(r.Context())
	if err == nil {
		writeJSON(w, http.StatusOK, done)
	}
	return err
}

func (h handler) environment(w http.ResponseWriter, r *http.Request) error {
	e, err := h.Server.Environment(r.Context())
	if err == nil {
		writeJSON(w, http.StatusOK, wireEnvironment{e.Endpoint, e.Region, toWire(e.Key), e.CA})
	}
	return err
}
