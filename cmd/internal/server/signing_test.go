package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/cmd/internal/admin"
)

// The profiles of openSigning. Those of the other account are both generated, and one of
// them may be used by ours.
const (
	releaseARN = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/release"
	sharedARN  = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/shared"
	theirsARN  = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/theirs"
)

// signingWorld is a server with profiles that sign what is pushed to team/app.
type signingWorld struct {
	*world
	image func(n uint64) []byte // a manifest like no other
}

func openSigning(t *testing.T, profiles ...string) *signingWorld {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "berth.yml")
	text := fmt.Sprintf("signing:\n  profiles:\n    - {arn: %q, generate: true}\n    - {arn: %q, generate: true, accounts: [%q]}\n    - {arn: %q, generate: true}\n", releaseARN, sharedARN, home, theirsARN)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &world{doorway: openDoorway(t, map[string]string{"config": conf})}
	w.createRepository("team/app")
	var rules []members
	for _, arn := range profiles {
		rules = append(rules, members{"signingProfileArn": arn})
	}
	w.mustCall("PutSigningConfiguration", members{"signingConfiguration": members{"rules": rules}}, nil)
	return &signingWorld{w, w.oneConfig("team/app")}
}

// signed pushes another image as somebody by both doors, and fails the test unless its
// signings end so, each with its code if it has one.
func (w *signingWorld) signed(what string, by *identity, n uint64, want ...string) {
	w.Helper()
	for i, door := range []string{"/v2/", "the API"} {
		if i == 1 && by.key.ID == "" {
			continue // who has a password alone
		}
		body := w.image(2*n + uint64(i))
		tag := fmt.Sprintf("%d-%d", n, i)
		switch i {
		case 0:
			r := w.doorway.as(by.user, by.password, http.MethodPut, "/v2/team/app/manifests/"+tag, body)
			r.Header.Set("Content-Type", v1.MediaTypeImageManifest)
			if a := w.do(r); a.status != http.StatusCreated {
				w.Fatalf("%s: push: %d %s", what, a.status, a.body)
			}
		case 1:
			d := *w.doorway
			d.key = by.key
			d.mustCall("PutImage", members{"repositoryName": "team/app", "imageTag": tag, "imageManifest": string(body)}, nil)
		}
		if got := w.signings(tag); !slices.Equal(got, want) {
			w.Errorf("%s, by %s: the signings are %q, want %q", what, door, got, want)
		}
	}
}

// signings are those of a tag once none is in progress.
func (w *signingWorld) signings(tag string) (list []string) {
	w.Helper()
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var got struct {
			SigningStatuses []struct{ SigningProfileArn, Status, FailureCode string }
		}
		w.mustCall("DescribeImageSigningStatus", members{"repositoryName": "team/app", "imageId": members{"imageTag": tag}}, &got)
		list = nil
		for _, s := range got.SigningStatuses {
			list = append(list, strings.TrimSpace(s.Status+" "+s.FailureCode))
		}
		if !slices.Contains(list, "IN_PROGRESS") {
			return list
		}
	}
	w.Fatalf("%s is not signed: %q", tag, list)
	return nil
}

// What pushes has to have the right to sign, with all that bounds it; an account that is
// not the profile's has it where the configuration says so alone.
func TestRightToSign(t *testing.T) {
	w := openSigning(t, releaseARN, sharedARN, theirsARN)
	const complete, denied = "COMPLETE", "FAILED AccessDenied"
	root := &identity{user: "AWS", password: w.password, key: w.key}
	w.signed("the root", root, 1, complete, complete, denied)

	user := pusher(w.world)
	w.signed("who pushes alone", user, 2, denied, denied, denied)
	holder := accounts.Holder{Account: home, Kind: accounts.HolderUser, Name: "pusher"}
	allow := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"signer:SignPayload","Resource":"` + releaseARN + `"}]}`
	w.must(w.store().PutInline(w.Context(), holder, "sign", allow))
	w.signed("who may sign", user, 3, complete, denied, denied)
	w.must(w.store().PutInline(w.Context(), holder, "sign", strings.Replace(allow, releaseARN, "*", 1)))
	w.signed("who may sign with all", user, 4, complete, complete, denied)

	robot, secret, err := w.store().CreateRobot(w.Context(), accounts.NewRobot{Account: home, User: "pusher", Scope: &auth.Scope{Actions: []string{"push"}, Repositories: []string{"team/*"}}})
	w.must(err)
	w.signed("a robot that pushes", &identity{user: robot.ID, password: secret.Reveal()}, 5, complete, complete, denied)
	robot, secret, err = w.store().CreateRobot(w.Context(), accounts.NewRobot{Account: home, User: "pusher", Scope: &auth.Scope{Actions: []string{"ecr:*"}}})
	w.must(err)
	w.signed("a robot without the action", &identity{user: robot.ID, password: secret.Reveal()}, 6, denied, denied, denied)

	const bound = "FullAccess"
	w.must(w.change(accounts.UserChange{Boundary: new(managedARN(bound))}))
	w.signed("who is bounded", user, 7, denied, denied, denied)

	session := w.role("whole", bound, credentials.RoleRequest{}, everything)
	w.signed("a session", session, 8, denied, denied, denied)
	role := accounts.Holder{Account: home, Kind: accounts.HolderRole, Name: userName("whole")}
	w.must(w.store().PutInline(w.Context(), role, "sign", allow))
	w.signed("a session that may sign", session, 9, complete, denied, denied)
	limited := w.role("limited", bound, credentials.RoleRequest{Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`}, everything)
	role.Name = userName("limited")
	w.must(w.store().PutInline(w.Context(), role, "sign", allow))
	w.signed("a session that is limited", limited, 10, denied, denied, denied)
}

// A denial to sign is one that can be explained.
func TestDenialToSignIsExplained(t *testing.T) {
	w := openSigning(t, releaseARN)
	w.signed("who pushes alone", pusher(w.world), 1, "FAILED AccessDenied")
	list, err := admin.ListDenials.Ask(t.Context(), w.house, admin.None{})
	w.must(err)
	if len(list) == 0 || list[0].Action != "signer:SignPayload" || list[0].Resource != releaseARN {
		t.Errorf("the denials are %+v", list)
	}
	e, err := admin.Explain.Ask(t.Context(), w.house, admin.Case{As: "user/pusher", Action: "signer:signpayload", Profile: releaseARN})
	w.must(err)
	if e.Decision != "denied" || e.Resource != releaseARN || e.Account != home || len(e.Remedies) == 0 {
		t.Errorf("it is explained as %+v", e)
	}
	e, err = admin.Explain.Ask(t.Context(), w.house, admin.Case{As: "root", Action: "signer:SignPayload", Profile: theirsARN})
	w.must(err)
	if e.Decision != "denied" || !strings.Contains(strings.Join(e.Remedies, "\n"), "signing.profiles") {
		t.Errorf("of another account's profile it is explained as %+v", e)
	}
	if _, err := admin.Explain.Ask(t.Context(), w.house, admin.Case{As: "root", Action: "signer:SignPayload"}); err == nil {
		t.Error("without a profile it is explained")
	}
}
