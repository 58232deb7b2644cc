package session

import (
	"bytes"

	"github.com/fleetctl/fleetctl/bundle"
)

// holder is the HSM whose key of the role this is. The error names what the key set
// has, since a wrong role is the likeliest mistake.
func holder(set *bundle.KeySet, role string, spki []byte) (string, error) {
	known := false
	for _, k := range set.Keys {
		if k.Role != role {
			continue
		}
		known = true
		if k.Use != bundle.UseSign {
			return "", refuse(ReasonNode, "the keys of role %s in the fleet's bundle don't sign, so that they open no session: the bundle has the roles %v", role, set.Roles())
		}
		if bytes.Equal(k.SPKI, spki) {
			return k.HSM, nil
		}
	}
	if !known {
		return "", refuse(ReasonNode, "the fleet's bundle has no role %q: it has %v", role, set.Roles())
	}
	return "", refuse(ReasonNode, "the key that was shown is none of the bundle's keys of role %s: this is no node of fleet %s, epoch %d", role, set.Fleet, set.Epoch)
}

// named demands that a key is the one of this node in the role.
func named(set *bundle.KeySet, role, node string, spki []byte) error {
	h, err := holder(set, role, spki)
	if err == nil && h != node {
		err = refuse(ReasonNode, "the node says that it is %s and shows the key of %s", node, h)
	}
	return err
}
