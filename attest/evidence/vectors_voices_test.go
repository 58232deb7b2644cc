package evidence_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig/sktest"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// fleetKeySigns is a fleet of which the third party has a key: keys of a token
// follow from its name.
func fleetKeySigns(t *testing.T, name string) *testfleet.Fleet {
	t.Helper()
	k := testfleet.New(t, testfleet.Options{Name: name}).Account.Keys[0]
	parties := testfleet.SoftParties(name, testfleet.TempDir(t))
	parties.ThirdParty = testfleet.SoftSigner(keys.Ed25519, fmt.Sprintf("%s-1 %x", name, k.Intent.ID))
	return testfleet.New(t, testfleet.Options{Name: name, Parties: parties, Unwary: true})
}

// onlooker is an edit of a policy: a third witness, who may be there or not, and
// whose w1 is.
func onlooker(org, allows string) []string {
	return []string{
		"  group both all w1 w2\n", "  witness w3 " + formsOf(keys.Ed25519, "a third witness").cosign + "\n  group both 2 w1 w2 w3\n",
		"log_confirmed:", "witness_orgs:\n  - {name: w1, org: " + org + "}\n" + allows + "log_confirmed:",
	}
}

var voiceVectors = []vector{
	{"key-of-two-types", "the policy pins one point twice, as `ssh-ed25519` for olga and as `sk-ssh-ed25519` for omar", `person "omar" has the key of "olga"`, "", func(t *testing.T) made {
		d := newDated(t, "vector two types", nil)
		raw, _ := d.Parties.People["olga"].Key().Ed25519()
		device := sshLine(sktest.Ed25519, struct{ Type, Point, App string }{sktest.Ed25519, string(raw), "ssh:"})
		return d.as(d.Parties.People["omar"].Key().String(), device)
	}},
	{"key-of-fleet-and-third-party", "the third party's key is one of the fleet's", `fleet key "hsm-1/session" has the key of third party "auditor.example"`, "", func(t *testing.T) made {
		return plainly(t, fleetKeySigns(t, "vector fleet signs"), nil)
	}},
	{"witness-of-the-third-party", "one of the two witnesses that cosigned is of the third party's organisation, as the policy says", "it is of auditor.example, as third party auditor.example is", "", func(t *testing.T) made {
		return newDated(t, "vector onlooker", nil).as(onlooker("auditor.example", "")...)
	}},
	{"witness-of-the-third-party-allowed", "nothing: the same, and the policy says that this witness counts", "", "", func(t *testing.T) made {
		return newDated(t, "vector onlooker", nil).as(onlooker("auditor.example", "allows:\n  - one_org: [witness w1, third party auditor.example]\n")...)
	}},
	{"witness-of-nobody-here", "nothing: the same witnesses, each of an organisation of its own", "", "", func(t *testing.T) made {
		return newDated(t, "vector onlooker", nil).as(onlooker("onlooker.example", "")...)
	}},
	{"keys-that-nobody-confirmed", "an honest package under a policy made from its plan: no key says how it was compared with its owner", "UNPINNED: person olga", "", func(t *testing.T) made {
		m := newDated(t, "vector unconfirmed", nil).as()
		for _, line := range []string{"    confirmed: \"made by the test\"\n", "log_confirmed: \"made by the test\"\n"} {
			m.policy = []byte(strings.ReplaceAll(string(m.policy), line, ""))
		}
		return m
	}},
}

func init() { vectors = append(vectors, voiceVectors...) }
