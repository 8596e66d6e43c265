package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
)

// How many policies the user of the benchmark has, by his groups, and how many
// statements each has.
const (
	manyGroups     = 10
	ofEachGroup    = 5
	manyStatements = 20
)

// BenchmarkAuthorization asks for a manifest as the root, who has no policies, and as a
// user whose last one of many allows it; and for the decision alone, which is what
// authorization adds. It is to be less than 20 µs on a machine that does nothing else.
func BenchmarkAuthorization(b *testing.B) {
	w := &world{doorway: openDoorway(b, map[string]string{"data": filepath.Join(b.TempDir(), "data"), "log-level": "warn", "audit.file": "off"})}
	root := &identity{name: "root", home: true, user: "AWS", password: w.password, key: w.key}
	w.by = []*identity{root}
	w.fill("team/app")
	many := w.user(home, "many", "", nothing)
	w.manyPolicies("many")
	for _, by := range []*identity{root, many} {
		b.Run("a manifest by "+by.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, "/v2/team/app/manifests/1", nil)
				r.Host = strings.TrimPrefix(w.house.url, "http://")
				a := httptest.NewRecorder()
				w.house.ServeHTTP(a, w.as(by, r))
				if a.Code != http.StatusOK {
					b.Fatalf("%d %s", a.Code, a.Body)
				}
			}
		})
	}
	b.Run("the decision", func(b *testing.B) { w.decide(b, "many") })
}

// decide measures the decision in the circumstances of a request. What it reports as
// added is of the fastest of runs of some: others may be at work on the machine.
func (w *world) decide(b *testing.B, user string) {
	a := w.house.Authorizer()
	check := auth.Check{
		Principal: auth.Principal{Account: home, ARN: "arn:aws:iam::" + home + ":user/" + user, Kind: auth.User, Name: user, Region: "us-east-1"},
		Action:    "ecr:BatchGetImage", Resource: ecrARNs + "team/app", Account: home,
	}
	const run = 20
	var n int
	began, fastest := time.Now(), time.Hour
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Authorize(b.Context(), check); err != nil {
			b.Fatal(err)
		}
		if n++; n%run == 0 {
			fastest, began = min(fastest, time.Since(began)), time.Now()
		}
	}
	added := fastest / run
	b.ReportMetric(float64(added)/float64(time.Microsecond), "µs-added/request")
}

// manyPolicies gives a user policies of many statements by his groups. All have
// conditions or stars; the last statement of the last one allows what is asked.
func (w *world) manyPolicies(user string) {
	w.Helper()
	ctx, store := w.Context(), w.store()
	var groups []string
	for g := range manyGroups {
		group := fmt.Sprintf("group%d", g)
		_, err := store.CreateGroup(ctx, home, group, "")
		w.must(err)
		groups = append(groups, group)
		for i := range ofEachGroup {
			name := fmt.Sprintf("policy%d-%d", g, i)
			last := g == manyGroups-1 && i == ofEachGroup-1
			p, err := store.CreatePolicy(ctx, home, accounts.NewPolicy{Name: name, Text: manyStatementsOf(name, last)})
			w.must(err)
			w.must(store.Attach(ctx, accounts.Holder{Account: home, Kind: accounts.HolderGroup, Name: group}, p.ARN))
		}
	}
	_, err := store.UpdateUser(ctx, home, user, accounts.UserChange{Join: groups})
	w.must(err)
}

func manyStatementsOf(name string, allows bool) string {
	var list []string
	for i := range manyStatements {
		switch {
		case allows && i == manyStatements-1:
			list = append(list, `{"Effect":"Allow","Action":"ecr:Batch*","Resource":"`+ecrARNs+`team/*"}`)
		case i == 0: // for every resource
			list = append(list, fmt.Sprintf(`{"Effect":"Deny","Action":"ecr:*Image","Resource":"*","Condition":{"StringLike":{"aws:UserAgent":"%s*"}}}`, name))
		case i%4 == 1:
			list = append(list, fmt.Sprintf(`{"Effect":"Allow","Action":["ecr:Batch*","ecr:Get*"],"Resource":"%s%s/%d/*"}`, ecrARNs, name, i))
		case i%4 == 2:
			list = append(list, fmt.Sprintf(`{"Effect":"Allow","Action":"ecr:*","Resource":"%s%d/${aws:username}/*"}`, ecrARNs, i))
		case i%4 == 3:
			list = append(list, fmt.Sprintf(`{"Effect":"Deny","NotAction":["ecr:DescribeImages","ecr:Put*"],"Resource":"%sprivate-%d/*"}`, ecrARNs, i))
		default:
			list = append(list, fmt.Sprintf(`{"Effect":"Allow","Action":"ecr:*","Resource":"%steam-%d/*","Condition":{"StringEquals":{"aws:ResourceTag/team":"%s"}}}`, ecrARNs, i, name))
		}
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(list, ",") + `]}`
}
