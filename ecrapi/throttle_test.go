package ecrapi_test

import (
	"testing"

	"github.com/seed-78150930/berth/auth/throttle"
)

func TestRequestsThatComeTooOften(t *testing.T) {
	b := open(t, func(s *setup) {
		s.api.Throttle = throttle.New(throttle.Rates{"DescribeRepositories": {PerSecond: 0.01, Burst: 2}}, nil)
	})
	for range 2 {
		b.call("DescribeRepositories", obj{})
	}
	b.refused("DescribeRepositories", obj{}, "ThrottlingException", "Rate exceeded")
	b.call("DescribeRegistry", obj{})
}
