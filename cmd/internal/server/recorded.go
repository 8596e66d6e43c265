package server

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// commandDoor is where records say that commands came in, and from.
const commandDoor = "admin-socket"

// recording records commands that change something, as calls by the root of the
// server's account: whoever reaches the socket may do everything.
func (s *Server) recording(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, isCall := strings.CutPrefix(r.URL.Path, "/calls/")
		if !isCall || !admin.Changes(name) {
			next.ServeHTTP(w, r)
			return
		}
		r.RemoteAddr = commandDoor
		call, w, r := s.audit.Begin(w, r, commandDoor)
		defer call.End()
		next.ServeHTTP(w, r)
	})
}

// recorded has fn answer a question, and notes both for the record of the call that
// ctx is in the course of. Without room for a record that must be written nothing is
// done.
func (s *Server) recorded(ctx context.Context, name string, question []byte, fn func() ([]byte, error)) ([]byte, error) {
	c, call := s.config.Load(), audit.Of(ctx)
	if err := call.Refused(); err != nil {
		return nil, err
	}
	call.Service, call.Event, call.Parameters = admin.Service(name), eventName(name), fields(question)
	call.Principal = auth.Principal{
		Account: c.Account, ARN: "arn:" + endpoint.Partition(c.Region) + ":iam::" + c.Account + ":root", UserID: c.Account, Region: c.Region, Kind: auth.Root,
	}
	answer, err := fn()
	if err != nil {
		call.Fail(failure(err), err.Error(), err)
		return nil, err
	}
	call.Response = fields(answer)
	call.Answered()
	return answer, nil
}

// eventName is a call as IAM writes operations: CreateUser for create-user.
func eventName(call string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(strings.Replace(call, "change-", "update-", 1), "-") {
		b.WriteString(strings.ToUpper(word[:min(1, len(word))]) + word[min(1, len(word)):])
	}
	return b.String()
}

// failure is IAM's code for a refusal (IAM API reference, "Common errors" and those of
// its operations).
func failure(err error) string {
	for code, refusals := range map[string][]error{
		"NoSuchEntity": {accounts.ErrNoUser, accounts.ErrNoGroup, accounts.ErrNoRole, accounts.ErrNoPolicy, accounts.ErrNoProvider,
			accounts.ErrNoKey, accounts.ErrNoRobot},
		"EntityAlreadyExists": {accounts.ErrExists},
		"DeleteConflict":      {accounts.ErrInUse},
		"LimitExceeded":       {accounts.ErrLimit},
		"UnmodifiableEntity":  {accounts.ErrDeclared, accounts.ErrStatic},
		"ValidationError":     {accounts.ErrInvalid, accounts.ErrBadAccount, admin.ErrNoCall},
	} {
		if slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(err, r) }) {
			return code
		}
	}
	if errors.As(err, new(*policy.Error)) || errors.As(err, new(*credentials.Error)) {
		return "ValidationError"
	}
	return "ServiceFailure"
}

// fields are the members of an object of JSON, for a record: which hides secrets by
// their names.
func fields(text []byte) audit.Fields {
	var object map[string]any
	if json.Unmarshal(text, &object) != nil {
		return nil
	}
	return fieldsOf(object)
}

func fieldsOf(object map[string]any) (list audit.Fields) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		value := object[name]
		if inner, ok := value.(map[string]any); ok {
			value = fieldsOf(inner)
		}
		list = append(list, audit.Field{Name: name, Value: value})
	}
	return list
}
