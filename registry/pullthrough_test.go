package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
)

const (
	profile = "arn:aws:signer:us-east-1:111122223333:/signing-profiles/release_1"
	secret  = "arn:aws:secretsmanager:us-east-1:000000000000:secret:ecr-pullthroughcache/hub-AbCdEf"
)

func quay(prefix string) registry.PullThroughRule {
	return registry.PullThroughRule{Prefix: prefix, UpstreamHost: "quay.io"}
}

// TestPullThroughPrefixes: one rule for a prefix, with and without a slash at its
// end, in each registry.
func TestPullThroughPrefixes(t *testing.T) {
	s := open(t, registry.Options{})
	made, err := s.CreatePullThroughRule(alice(t), here, quay("team/"))
	must(t, err)
	for _, prefix := range []string{"team", "team/"} {
		_, err := s.CreatePullThroughRule(alice(t), here, quay(prefix))
		wantCode(t, prefix, err, registry.PullThroughRuleExists)
		got, err := s.PullThroughRule(alice(t), here, prefix)
		must(t, err)
		if diff := cmp.Diff(made, got); diff != "" {
			t.Errorf("%s (-made +got):\n%s", prefix, diff)
		}
	}
	there := registry.ID{Account: here.Account, Region: "eu-west-1"}
	_, err = s.CreatePullThroughRule(alice(t), there, quay("team"))
	must(t, err)
	_, err = s.DeletePullThroughRule(alice(t), there, "team/")
	must(t, err)
	_, err = s.PullThroughRule(alice(t), here, "team")
	must(t, err)
	for _, bad := range []string{"", "a", "Team", "/team", "team//", "a b", "root", strings.Repeat("a", 31), "te\x00am"} {
		_, err := s.CreatePullThroughRule(alice(t), here, quay(bad))
		if bad == "root" { // a path like others
			must(t, err)
			continue
		}
		wantCode(t, bad, err, registry.SettingInvalid)
		rule := quay("fine")
		if rule.UpstreamPrefix = bad; bad != "" {
			_, err = s.CreatePullThroughRule(alice(t), here, rule)
			wantCode(t, "upstream "+bad, err, registry.SettingInvalid)
		}
	}
}

func TestPullThroughRulesPage(t *testing.T) {
	s := open(t, registry.Options{Limits: registry.Limits{PullThroughRules: 5}})
	var want []string
	for _, prefix := range []string{"ROOT", "aa", "bb/", "bb/cc", "dd"} {
		_, err := s.CreatePullThroughRule(alice(t), here, quay(prefix))
		must(t, err)
		want = append(want, prefix)
	}
	_, err := s.CreatePullThroughRule(alice(t), here, quay("ee"))
	if e := wantCode(t, "one too many", err, registry.TooManyPullThroughRules); e.Limit != 5 {
		t.Errorf("the limit is told as %d", e.Limit)
	}
	for limit := 1; limit <= 6; limit++ {
		var got []string
		for after, more := "", true; more; {
			var page []registry.PullThroughRule
			page, more, err = s.PullThroughRules(alice(t), here, after, limit)
			must(t, err)
			for _, rule := range page {
				got = append(got, rule.Prefix)
			}
			after = got[len(got)-1]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	_, _, err = s.PullThroughRules(alice(t), here, "\x00", 1)
	wantCode(t, "a place that is none", err, registry.PageInvalid)
}

func TestSigningRefused(t *testing.T) {
	s := open(t, registry.Options{})
	with := func(profile string, filters ...string) registry.Signing {
		return registry.Signing{Rules: []registry.SigningRule{{Profile: profile, Filters: filters}}}
	}
	for i, c := range []registry.Signing{
		with(""), with("arn:aws:signer"), with(profile + "!"), with(profile + strings.Repeat("a", 200)),
		with(profile, "Team"), with(profile, ""), with(profile, strings.Repeat("a", 257)), with(profile, make([]string, 101)...),
		{Rules: make([]registry.SigningRule, 11)}, with(strings.Replace(profile, "us-east-1", "us-east-2", 1)),
	} {
		wantCode(t, fmt.Sprint(i), s.PutSigning(alice(t), here, c), registry.SettingInvalid)
	}
	_, err := s.Signing(alice(t), here)
	wantCode(t, "after refusals", err, registry.SigningNotFound)
}
