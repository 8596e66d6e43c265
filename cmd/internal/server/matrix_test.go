package server_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/stsapi"
	"github.com/seed-78150930/berth/ecrapi"
	"github.com/seed-78150930/berth/registry/ociapi"
)

// knocks are all requests of the matrix: one at least for each route of the OCI door
// and each operation of the JSON API and of STS.
func knocks(t *testing.T) (all []knock) {
	t.Helper()
	known := maps.Clone(routeKnocks)
	for _, route := range ociapi.Routes() {
		of := route.Kind + " " + route.Method
		list := known[of]
		delete(known, of)
		if len(list) == 0 {
			t.Errorf("the matrix has no request for %s: give it one, with the IAM actions that it needs", of)
		}
		var needed []string
		for _, q := range list {
			q.at, q.head = atV2, route.Method == http.MethodHead
			q.what = of + q.what
			q.make = withMethod(route.Method, q.make)
			all = append(all, q)
			needed = append(needed, q.actions...)
		}
		checkActions(t, of, needed, route.Actions)
	}
	for of := range known {
		t.Errorf("the OCI door has no route %s", of)
	}
	return slices.Concat(all, operations(t), stsActions(t))
}

func stsActions(t *testing.T) (all []knock) {
	t.Helper()
	known := maps.Clone(stsKnocks)
	for _, a := range stsapi.Actions() {
		q, ok := known[a.Name]
		delete(known, a.Name)
		if !ok {
			t.Errorf("the matrix has no request for %s: give it one, with what becomes of it", a.Name)
			continue
		}
		if want := "sts:" + a.Name; a.Permission != want || !a.Open && !slices.Contains(q.actions, want) {
			t.Errorf("%s asks for %q (everyone's: %t), and the matrix has %q", a.Name, a.Permission, a.Open, q.actions)
		}
		q.at, q.what = atSTS, a.Name
		all = append(all, q)
	}
	for name := range known {
		t.Errorf("STS has no action %s", name)
	}
	return all
}

// checkActions holds the actions that a route or operation says it asks for against
// those that the matrix has.
func checkActions(t *testing.T, of string, want, got []string) {
	t.Helper()
	want, got = slices.Clone(want), slices.Clone(got)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(slices.Compact(want), slices.Compact(got)); diff != "" {
		t.Errorf("actions of %s (-matrix +door):\n%s", of, diff)
	}
	if len(got) == 0 && !strings.HasPrefix(of, "root ") {
		t.Errorf("%s asks for no action", of)
	}
}

func operations(t *testing.T) (all []knock) {
	t.Helper()
	known := maps.Clone(operationKnocks)
	for _, op := range ecrapi.Operations() {
		o, ok := known[op.Name]
		delete(known, op.Name)
		if !ok {
			t.Errorf("the matrix has no request for %s: give it one, with what becomes of it", op.Name)
			continue
		}
		list := o.knocks(op)
		checkActions(t, op.Name, list[0].actions, []string{op.Action})
		all = append(all, list...)
	}
	for name := range known {
		t.Errorf("the JSON API has no operation %s", name)
	}
	return all
}

func withMethod(method string, make maker) maker {
	return func(w *world, by *identity, repo string) *http.Request {
		r := make(w, by, repo)
		r.Method = method
		return r
	}
}

// TestMatrix has everyone ask for everything, and holds each answer against the rules.
// Who may not do it changes nothing, and learns nothing of what there is.
func TestMatrix(t *testing.T) {
	for name, settings := range map[string]map[string]string{
		"with credentials": {}, "anonymous pull": {"anonymous-pull": "true"},
	} {
		t.Run(name, func(t *testing.T) {
			settings["pull-time-flush"], settings["audit.file"], settings["limits.login-failures"] = "24h", "off", "100000"
			w := newWorld(t, settings)
			all := knocks(t)
			if t.Failed() {
				return
			}
			for _, by := range w.by {
				if w.anonymous && by.user != "" && by.name != "no policies" {
					continue // who shows credentials is none of the setting's business
				}
				t.Run(by.name, func(t *testing.T) {
					w.TB = t
					for _, q := range all {
						w.knock(by, q)
					}
				})
			}
			w.TB = t
		})
	}
}

// TestEachActionIsNeeded takes each action away that a request needs, one at a time, and
// then all but those.
func TestEachActionIsNeeded(t *testing.T) {
	w := newWorld(t, map[string]string{"pull-time-flush": "24h", "audit.file": "off"})
	by := w.user(home, "but", "", everything)
	for _, q := range knocks(t) {
		if len(q.actions) == 0 || q.at == atSTS {
			continue
		}
		for _, action := range q.actions {
			by.gives = func(a string) bool { return a != action }
			w.give(`"NotAction":"` + action + `"`)
			w.knock(by, q)
		}
		by.gives = allows(q.actions)
		w.give(`"Action":["` + strings.Join(q.actions, `","`) + `"]`)
		a := w.do(q.make(w, by, shut))
		if got := q.outcome(w, a); got == denials[q.at] || got == bare(denials[q.at]) {
			t.Errorf("%s needs more than %q: %s", q.what, q.actions, a.body)
		}
		w.allow(`"Action":"ecr:*"`)
		w.cancel(by, shut, a)
		w.putBack(w.was, w.print)
		if q.what == "DeleteRepository" {
			w.renewUpload()
		}
	}
}

// give is allow, after which the store is what it shall be.
func (w *world) give(actions string) {
	w.Helper()
	w.allow(actions)
	w.was, w.print = w.rows(), w.fingerprint()
}

// allow has the user who has no other policies be allowed some actions.
func (w *world) allow(actions string) {
	w.Helper()
	holder := accounts.Holder{Account: home, Kind: accounts.HolderUser, Name: "but"}
	w.must(w.store().PutInline(w.Context(), holder, "own", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",`+actions+`,"Resource":"*"}]}`))
}

// knock makes a request of somebody about each repository.
func (w *world) knock(by *identity, q knock) {
	w.Helper()
	answers := map[string]string{} // of refusals
	for _, repo := range visibilities {
		want, refused := q.expected(w, by, repo)
		if q.head {
			want = bare(want)
		}
		r, before := q.make(w, by, repo), w.print
		if w.began != "" {
			before = w.fingerprint()
		}
		a := w.do(r)
		if got := q.outcome(w, a); got != want {
			w.Errorf("%s of %s by %s: %s, want %s\n%.300s", q.what, repo, by.name, got, want, a.body)
		}
		if q.on == list && a.status == http.StatusOK && !q.head {
			w.shows(by, q, a)
		}
		if refused {
			if repo != locked || !slices.ContainsFunc(q.actions, by.gives) { // who has some of the rights learns that he is denied
				answers[repo] = likeness(a, repo)
			}
			w.unchanged(q.what+" of "+repo+" by "+by.name, before)
			if w.began == "" {
				continue
			}
		}
		w.cancel(by, repo, a)
		w.putBack(w.was, w.print)
		if q.what == "DeleteRepository" && repo == shut { // the bytes of the root's upload have gone
			w.renewUpload()
		}
	}
	w.alike(by, q, answers)
}

// shows holds a list of repositories against what somebody may see.
func (w *world) shows(by *identity, q knock, a response) {
	w.Helper()
	var got struct {
		Repositories json.RawMessage // names, or what has names
	}
	w.decode(a.body, &got)
	var names []string
	if json.Unmarshal(got.Repositories, &names) != nil {
		names = nil
		var list []struct{ RepositoryName string }
		w.decode(string(got.Repositories), &list)
		for _, r := range list {
			names = append(names, r.RepositoryName)
		}
	}
	for i, name := range names {
		names[i] = name[strings.LastIndex(name, "m/"):] // without the registry before it
	}
	if want := sees(by); !slices.Equal(names, want) {
		w.Errorf("%s by %s shows %q, want %q", q.what, by.name, names, want)
	}
}

// cancel ends the uploads that a request has left, whose bytes the server would note
// later.
func (w *world) cancel(by *identity, repo string, a response) {
	w.Helper()
	ids := []string{w.began}
	if _, id, ok := strings.Cut(a.header.Get("Location"), "/blobs/uploads/"); ok {
		ids = append(ids, id)
	}
	var begun struct{ UploadID string }
	if json.Unmarshal([]byte(a.body), &begun) == nil {
		ids = append(ids, begun.UploadID)
	}
	for _, id := range slices.Compact(ids) {
		if id != "" && id != w.upload {
			w.do(w.oci(by, http.MethodDelete, repo, "/blobs/uploads/"+id, ""))
		}
	}
	w.began = ""
}

// alike holds the answers to who may not against each other: nothing tells what is
// there.
func (w *world) alike(by *identity, q knock, answers map[string]string) {
	w.Helper()
	of, ok := answers[missing]
	if !ok {
		return
	}
	for repo, a := range answers {
		if a != of {
			w.Errorf("%s by %s tells that %s is there:\n%s", q.what, by.name, repo, cmp.Diff(of, a))
		}
	}
}

// likeness is an answer without what every answer has of its own, and without the
// name of the repository that was asked for.
func likeness(a response, repo string) string {
	h := a.header.Clone()
	for _, name := range []string{"Date", "X-Amzn-Requestid", auth.DenialHeader} {
		h.Del(name)
	}
	text, _ := json.Marshal(h) // strings, all of them
	return strings.NewReplacer(path.Base(repo), "NAME", a.header.Get("X-Amzn-Requestid"), "ID").
		Replace(fmt.Sprintf("%d\n%s\n%s", a.status, text, a.body))
}

// outcome is what an answer says, in the form of knock.there.
func (q knock) outcome(w *world, a response) string {
	w.Helper()
	status := fmt.Sprint(a.status)
	if q.head || a.status < 300 {
		return status
	}
	switch q.at {
	case atV2:
		var body struct{ Errors []struct{ Code string } }
		w.decode(a.body, &body)
		return status + " " + body.Errors[0].Code
	case atAPI:
		var body struct {
			Type string `json:"__type"`
		}
		w.decode(a.body, &body)
		return status + " " + body.Type
	}
	var body struct{ Error struct{ Code string } }
	w.must(xml.Unmarshal([]byte(a.body), &body))
	return status + " " + body.Error.Code
}
