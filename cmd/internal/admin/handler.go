package admin

import (
	"errors"
	"net/http"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/registry/events"
)

// Handler answers on the socket for a server.
func Handler(s Server) http.Handler {
	h := handler{s}
	mux := http.NewServeMux()
	for pattern, fn := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /status":          h.status,
		"POST /reload":         h.reload,
		"GET /environment":     h.environment,
		"GET /keys":            h.keys,
		"POST /keys":           h.createKey,
		"DELETE /keys/{id...}": h.deleteKey,

		"GET /events":                              h.events,
		"GET /events/latest":                       h.latestEvent,
		"GET /events/dead":                         h.deadLetters,
		"POST /events/dead/{webhook}/{sequence}":   onLetter(s.Replay),
		"DELETE /events/dead/{webhook}/{sequence}": onLetter(s.Drop),

		"POST /lifecycle/test": h.testLifecycle,
	} {
		mux.HandleFunc(pattern, answering(fn))
	}
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
	case errors.Is(err, accounts.ErrNoKey), errors.Is(err, events.ErrNoLetter), errors.Is(err, events.ErrNoWebhook):
		return http.StatusNotFound
	case errors.Is(err, accounts.ErrStatic), errors.Is(err, accounts.ErrBadAccount):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
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

func (h handler) keys(w http.ResponseWriter, r *http.Request) error {
	all, err := h.Server.Keys(r.Context())
	if err != nil {
		return err
	}
	list := make([]wireKey, 0, len(all))
	for _, k := range all {
		list = append(list, toWire(k))
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

func (h handler) createKey(w http.ResponseWriter, r *http.Request) error {
	var ask wireAccount
	if err := readJSON(r.Body, &ask); err != nil {
		return err
	}
	k, err := h.Server.CreateKey(r.Context(), ask.Account)
	if err == nil {
		writeJSON(w, http.StatusCreated, toWire(k))
	}
	return err
}

func (h handler) deleteKey(w http.ResponseWriter, r *http.Request) error {
	err := h.Server.DeleteKey(r.Context(), r.PathValue("id"))
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
