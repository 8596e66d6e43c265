package transfer

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
)

// platform is what an image runs on.
type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

func parsePlatform(text string) (p platform, err error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" {
		return p, fmt.Errorf("%.60q is no platform, such as linux/arm64 or linux/arm/v7", text)
	}
	p.OS, p.Architecture = parts[0], parts[1]
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// chosen is the image of the platform that is wanted, if an index has one. What was
// asked for by digest is then that image's.
func (c *copier) chosen(ctx context.Context, j *job, m peer.Manifest, ref string) (peer.Manifest, string, error) {
	if c.Platform == "" {
		return m, ref, nil
	}
	var index struct {
		Manifests []struct {
			Digest   digest.Digest
			Platform platform
		}
	}
	if json.Unmarshal(m.Body, &index) != nil || len(index.Manifests) == 0 {
		return m, ref, nil
	}
	want, _ := parsePlatform(c.Platform) // was right at the start
	for _, child := range index.Manifests {
		p := child.Platform
		if p.OS != want.OS || p.Architecture != want.Architecture || want.Variant != "" && p.Variant != want.Variant {
			continue
		}
		found, err := c.read(ctx, j, child.Digest.String())
		if isDigest(ref) {
			ref = child.Digest.String()
		}
		return found, ref, err
	}
	return m, ref, fmt.Errorf("index %s has no image for %s", m.Digest, c.Platform)
}
