package endpoint

// Namespace reads the host of a registry that the clients of a mirror ask it
// for, as containerd says by the query member ns: "docker.io",
// "123456789012.dkr.ecr.us-east-1.amazonaws.com". ours is false if it is not
// a registry of this server. Account and region are those that the name says;
// "" where it says nothing.
func (n *Names) Namespace(ns string) (account, region string, ours bool) {
	at, ok := parseAddress(ns)
	if !ok || !n.trusts(at) {
		return "", "", false
	}
	switch h := at.shape(); h.Kind {
	case Other:
		return "", "", true
	case Registry:
		return h.Account, h.Region, n.HasRegion(h.Region)
	}
	return "", "", false
}
