package policy_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/policy"
)

// dice makes policies and requests out of few words, so that they often meet.
type dice struct{ *rand.Rand }

func (d dice) of(words ...string) string { return words[d.IntN(len(words))] }

func (d dice) chance(n int) bool { return d.IntN(n) == 0 }

// some is one word or a list of up to three.
func (d dice) some(words ...string) any {
	if d.chance(2) {
		return d.of(words...)
	}
	list := []any{}
	for range 1 + d.IntN(3) {
		list = append(list, d.of(words...))
	}
	return list
}

const repos = "arn:aws:ecr:us-east-1:000000000000:repository/"

func (d dice) statement(resourceBased bool) map[string]any {
	s := map[string]any{"Effect": d.of("Allow", "Allow", "Deny")}
	actions := d.some("ecr:*", "ecr:PutImage", "ECR:put*", "ecr:Batch*", "ecr:?utImage", "*", "ecr:BatchGetImage")
	resources := d.some("*", repos+"*", repos+"team/*", repos+"team/app", repos+"${aws:username}/*", repos+"${aws:username, 'team'}/a?p", repos+"*a*", repos+"${k:one}", "arn:aws:ecr:*")
	s[d.of("Action", "Action", "Action", "NotAction")] = actions
	if resourceBased {
		resources = d.some("*", repos+"*", repos+"team/*", repos+"${aws:username}/*")
	}
	if !resourceBased || d.chance(2) {
		s[d.of("Resource", "Resource", "Resource", "NotResource")] = resources
	}
	if resourceBased {
		who := any("*")
		if !d.chance(4) {
			who = map[string]any{"AWS": d.some("*", us, them, userARN, roleARN, sessionARN, "arn:aws:iam::"+us+":root", foreignUser, foreignRole)}
		}
		name := "Principal"
		if d.chance(6) { // what stands beside its own account is told elsewhere
			name, who = "NotPrincipal", map[string]any{"AWS": d.of("*", us, them, userARN, roleARN, sessionARN)}
		}
		s[name] = who
	}
	if d.chance(2) {
		s["Condition"] = d.condition()
	}
	return s
}

func (d dice) condition() map[string]any {
	all := map[string]any{}
	for range 1 + d.IntN(2) {
		name, values := d.operator()
		if name != "Null" {
			name = d.of("", "", "ForAllValues:", "ForAnyValue:") + name + d.of("", "", "IfExists")
		}
		keys := map[string]any{}
		for range 1 + d.IntN(2) {
			keys[d.of("k:One", "K:two", "k:three", "aws:UserName")] = d.some(values...)
		}
		all[name] = keys
	}
	return all
}

func (d dice) operator() (string, []string) {
	not := d.of("", "Not")
	switch d.IntN(7) {
	case 0:
		return "String" + not + "Equals" + d.of("", "IgnoreCase"), []string{"a", "A", "7", "team", "${aws:username}", "${k:two}", "${*}", "", "ü"}
	case 1:
		return "String" + not + "Like", []string{"a*", "*", "?", "t*m", "${aws:username}*", "*${k:one}", "a?", ""}
	case 2:
		return "Numeric" + d.of("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"), []string{"7", "7.0", "-3", "100", "1e2"}
	case 3:
		return "Date" + d.of("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"), []string{"2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2027-01-01T00:00:00Z"}
	case 4:
		return d.of("IpAddress", "NotIpAddress"), []string{"10.0.0.0/8", "10.1.2.3", "2001:db8::/32", "10.1.2.0/23"}
	case 5:
		return "Arn" + not + d.of("Equals", "Like"), []string{roleARN, "arn:aws:iam::*:role/*", "arn:*:*:*:*:*", "arn:aws:iam::000000000000:user/${aws:username}", "arn:aws:*"}
	}
	if d.chance(2) {
		return "Null", []string{"true", "false"}
	}
	return d.of("Bool", "Bool", "Null"), []string{"true", "false"}
}

func (d dice) document(resourceBased bool) string {
	doc := map[string]any{"Version": d.of("2012-10-17", "2012-10-17", "2012-10-17", "2008-10-17")}
	var list []any
	for range 1 + d.IntN(3) {
		list = append(list, d.statement(resourceBased))
	}
	doc["Statement"] = list
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (d dice) keys() policy.Keys {
	k := policy.Keys{}
	values := []string{"a", "A", "7", "7.0", "team", "true", "2026-01-01T00:00:00Z", "10.1.2.3", "2001:db8::1", roleARN, userARN, "", "ü", "*"}
	for _, name := range []string{"k:one", "k:two", "k:three", "aws:username"} {
		for range d.IntN(3) {
			k[name] = append(k[name], d.of(values...))
		}
	}
	if d.chance(2) {
		k["aws:username"] = []string{"team"}
	}
	return k
}

func (d dice) principal() policy.Principal {
	return []policy.Principal{
		user(us, "alice"), user(us, "bob"), session(us, "builder", "run"), session(us, "other", "run"), rootOf(us),
		user(them, "alice"), session(them, "builder", "run"), rootOf(them), {Anonymous: true}, {Service: "codebuild.amazonaws.com"},
	}[d.IntN(10)]
}

// world is a request with its policies, for both evaluators.
type world struct {
	policies policy.Policies
	naive    naiveWorld
	request  policy.Request
	texts    []string
}

func (d dice) world(t testing.TB) world {
	q := policy.Request{
		Principal: d.principal(), Keys: d.keys(),
		Action:   d.of("ecr:PutImage", "ecr:PutImage", "ecr:BatchGetImage", "ecr:DeleteRepository", "s3:GetObject"),
		Resource: d.of(app, app, repos+"team/abc", repos+"prod", "*"),
	}
	w := world{request: q}
	w.policies.SameAccount, w.policies.Root = q.Principal.Account == us, strings.HasSuffix(q.Principal.ARN, ":root")
	w.naive.same, w.naive.root = w.policies.SameAccount, w.policies.Root
	attach := func(list *[]policy.Attached, naive *[]naiveDocument, n int, resourceBased bool) {
		for range n {
			text := d.document(resourceBased)
			doc := identityOr(t, text, resourceBased)
			*list, *naive = append(*list, policy.Attached{Name: "p", Document: doc}), append(*naive, readNaive(text))
			w.texts = append(w.texts, text)
		}
	}
	attach(&w.policies.Identity, &w.naive.identity, d.IntN(3), false)
	attach(&w.policies.Resource, &w.naive.resource, d.IntN(3), true)
	if d.chance(4) {
		w.policies.HasBoundary, w.naive.hasBoundary = true, true
		attach(&w.policies.Boundary, &w.naive.boundary, 1, false)
	}
	if d.chance(4) {
		w.policies.HasSession, w.naive.hasSession = true, true
		attach(&w.policies.Session, &w.naive.session, 1, false)
	}
	return w
}

func identityOr(t testing.TB, text string, resourceBased bool) *policy.Document {
	t.Helper()
	if resourceBased {
		return repository(t, text)
	}
	return identity(t, text)
}

// check holds a world against the naive evaluator, and against itself with a key
// that is pending: whatever its value, what is allowed then was not refused before.
func (w world) check(t *testing.T) bool {
	t.Helper()
	got, want := policy.Evaluate(w.policies, w.request), w.naive.allowed(w.request)
	if got.Allowed != want {
		t.Errorf("%+v, want %v\n%+v\n%s", got, want, w.request, strings.Join(w.texts, "\n"))
	}
	first := w.request
	first.Keys, first.Pending = policy.Keys{}, []string{"k:one"}
	for name, values := range w.request.Keys {
		if name != "k:one" {
			first.Keys[name] = values
		}
	}
	before := policy.Evaluate(w.policies, first)
	if got.Allowed && !before.Allowed {
		t.Errorf("refused while pending: %+v\n%+v\n%s", before, w.request, strings.Join(w.texts, "\n"))
	}
	return got.Allowed
}

// TestDifferential compares decisions with those of a second evaluator that was
// written for nothing but this.
func TestDifferential(t *testing.T) {
	const rounds = 3000
	allowed := 0
	for i := range uint64(rounds) {
		if (dice{rand.New(rand.NewPCG(i, 4))}).world(t).check(t) {
			allowed++
		}
		if t.Failed() {
			t.Fatalf("with seed %d", i)
		}
	}
	if allowed < rounds/10 || allowed > rounds*9/10 {
		t.Errorf("%d of %d are allowed: the two hardly differ from saying always the same", allowed, rounds)
	}
}

func FuzzEvaluate(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, seed)
	}
	f.Add(uint64(1), uint64(129)) // a number for a date
	f.Fuzz(func(t *testing.T, a, b uint64) { dice{rand.New(rand.NewPCG(a, b))}.world(t).check(t) })
}

// FuzzMatch compares patterns with regular expressions.
func FuzzMatch(f *testing.F) {
	for _, s := range [][2]string{{"*a*a*a*", "aaaab"}, {"a?c", "abc"}, {"?*", ""}, {"*?é", "xé"}, {"a*b*c", "abcbc"}, {"", ""}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		condition, err := json.Marshal(map[string]any{"StringLike": map[string]any{"k": pattern}})
		if err != nil {
			t.Fatal(err)
		}
		d, err := policy.ParseIdentity(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":` + string(condition) + `}}`)
		if err != nil {
			t.Fatal(err)
		}
		got := d.Decide(policy.Request{Action: put, Keys: policy.Keys{"k": {text}}}).Effect == policy.Allowed
		if want := naiveMatch(strings.ToValidUTF8(pattern, "\ufffd"), text, true, false, false, nil); got != want && strings.ToValidUTF8(text, "") == text {
			t.Errorf("%q of %q: %v, want %v", text, pattern, got, want)
		}
	})
}

// FuzzParse looks for texts on which a reader panics, and for policies that are not
// the same when they are shown and read again.
func FuzzParse(f *testing.F) {
	for seed := range uint64(10) {
		d := dice{rand.New(rand.NewPCG(seed, 9))}
		f.Add(d.document(false))
		f.Add(d.document(true))
	}
	for _, s := range []string{"", "{}", one(may), one(`"Effect":"Allow","Principal":{"Federated":"accounts.google.com"},"Action":"sts:*"`), one(pull), `{"Statement":{"Condition":{"Null":{"":[true,1,"x"]}}}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		policy.Lint(text)
		for name, parse := range map[string]func(string) (*policy.Document, error){
			"identity": policy.ParseIdentity, "trust": policy.ParseTrust,
			"repository": func(s string) (*policy.Document, error) { return policy.ParseRepository(s, "aws") },
			"registry":   func(s string) (*policy.Document, error) { return policy.ParseRegistry(s, "aws-cn", policy.V1) },
		} {
			d, err := parse(text)
			if err != nil {
				continue
			}
			shown := d.Text()
			again, err := parse(shown)
			if err != nil || again.Text() != shown {
				t.Errorf("%s: %q is shown as %q, which is read as %v, %v", name, text, shown, again, err)
			}
			d.Decide(policy.Request{Principal: user(us, "x"), Action: put, Resource: app, Keys: policy.Keys{"k": {"1"}}, Pending: []string{policy.Any}})
		}
	})
}
