package endpoint_test

import (
	"slices"
	"testing"

	"github.com/seed-78150930/berth/registry/endpoint"
)

func TestPartitions(t *testing.T) {
	tests := []struct{ region, partition, suffix string }{
		{"us-east-1", "aws", "amazonaws.com"},
		{"ap-southeast-7", "aws", "amazonaws.com"},
		{"cn-north-1", "aws-cn", "amazonaws.com.cn"},
		{"us-gov-west-1", "aws-us-gov", "amazonaws.com"},
		{"eusc-de-east-1", "aws-eusc", "amazonaws.eu"},
		{"us-iso-east-1", "aws-iso", "c2s.ic.gov"},
		{"us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"},
		{"eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk"},
		{"us-isof-south-1", "aws-iso-f", "csp.hci.ic.gov"},
		{"home", "aws", "amazonaws.com"},
		{"", "aws", "amazonaws.com"},
	}
	for _, tt := range tests {
		if got := endpoint.Partition(tt.region); got != tt.partition {
			t.Errorf("Partition(%q) = %q, want %q", tt.region, got, tt.partition)
		}
		if got := endpoint.Suffix(tt.region); got != tt.suffix {
			t.Errorf("Suffix(%q) = %q, want %q", tt.region, got, tt.suffix)
		}
	}
}

func TestRegions(t *testing.T) {
	regions := endpoint.Regions()
	if !slices.IsSorted(regions) || len(slices.Compact(slices.Clone(regions))) != len(regions) {
		t.Errorf("Regions() = %q, want each once and in byte order", regions)
	}
	for _, want := range []string{"us-east-1", "eu-central-2", "cn-northwest-1", "us-gov-east-1"} {
		if !slices.Contains(regions, want) {
			t.Errorf("Regions() lacks %q", want)
		}
	}
	regions[0] = "changed"
	if endpoint.Regions()[0] == "changed" {
		t.Error("a change to the slice changed the list")
	}
	for _, r := range endpoint.Regions() {
		if h := endpoint.ParseHost("api.ecr." + r + ".example.com"); h.Kind != endpoint.API || h.Region != r {
			t.Errorf("region %q is not read in a host of the API: %+v", r, h)
		}
	}
}
