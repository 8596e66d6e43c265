package endpoint

import (
	"slices"
	"strings"
)

// partition is a part of Amazon's cloud with names of its own.
type partition struct {
	id     string // as in ARNs
	prefix string // of its regions' names, and of no other's
	suffix string // DNS suffix of its hosts
	dual   string // DNS suffix of its API's hosts that have IPv6 too
}

// commercial is the partition of every region that no other one claims.
var commercial = partition{id: "aws", suffix: "amazonaws.com", dual: "api.aws"}

// partitions are the others, as botocore 1.43 lists them (partitions.json).
var partitions = []partition{
	{"aws-cn", "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
	{"aws-us-gov", "us-gov-", "amazonaws.com", "api.aws"},
	{"aws-eusc", "eusc-", "amazonaws.eu", "api.amazonwebservices.eu"},
	{"aws-iso", "us-iso-", "c2s.ic.gov", "api.aws.ic.gov"},
	{"aws-iso-b", "us-isob-", "sc2s.sgov.gov", "api.aws.scloud"},
	{"aws-iso-e", "eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
	{"aws-iso-f", "us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
}

// regions are those of botocore 1.43 (partitions.json), in byte order.
var regions = []string{
	"af-south-1",
	"ap-east-1", "ap-east-2",
	"ap-northeast-1", "ap-northeast-2", "ap-northeast-3",
	"ap-south-1", "ap-south-2",
	"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4",
	"ap-southeast-5", "ap-southeast-6", "ap-southeast-7",
	"ca-central-1", "ca-west-1",
	"cn-north-1", "cn-northwest-1",
	"eu-central-1", "eu-central-2",
	"eu-isoe-west-1",
	"eu-north-1", "eu-south-1", "eu-south-2",
	"eu-west-1", "eu-west-2", "eu-west-3",
	"eusc-de-east-1",
	"il-central-1",
	"me-central-1", "me-south-1",
	"mx-central-1",
	"sa-east-1",
	"us-east-1", "us-east-2",
	"us-gov-east-1", "us-gov-west-1",
	"us-iso-east-1", "us-iso-west-1",
	"us-isob-east-1", "us-isob-west-1",
	"us-isof-east-1", "us-isof-south-1",
	"us-west-1", "us-west-2",
}

// Regions are the regions of Amazon's public list, in byte order. The slice is
// the caller's.
func Regions() []string { return slices.Clone(regions) }

// Partition is the partition of a region in ARNs: "aws-cn" for a name such as
// "cn-north-1", and "aws" for any name that is not of another partition's form.
func Partition(region string) string { return partitionOf(region).id }

// Suffix is the DNS suffix of Amazon's hosts in a region, such as
// "amazonaws.com" or "amazonaws.com.cn".
func Suffix(region string) string { return partitionOf(region).suffix }

func partitionOf(region string) partition {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.prefix) {
			return p
		}
	}
	return commercial
}

// isAmazons says that suffix is the DNS suffix of a partition.
func isAmazons(suffix string) bool {
	return commercial.has(suffix) ||
		slices.ContainsFunc(partitions, func(p partition) bool { return p.has(suffix) })
}

func (p partition) has(suffix string) bool { return suffix == p.suffix || suffix == p.dual }
