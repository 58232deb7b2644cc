package evidence_test

import (
	"encoding/base64"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// postQuantum is a fleet of a classical role and one of ML-DSA-44, whose bundle an
// ML-DSA-65 key countersigns.
func postQuantum(t *testing.T, name string) *testfleet.Fleet {
	t.Helper()
	parties := testfleet.SoftParties("vector "+name, t.TempDir())
	parties.Operator = testfleet.SoftSigner(keys.MLDSA65, "vector "+name+" operator")
	return testfleet.New(t, testfleet.Options{
		Name: "vector " + name, HSMs: 2, Parties: parties,
		Roles: []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "vault", Algorithm: keys.MLDSA44}},
	})
}

// inPlaceOf is a package in which one signature of a record stands in place of another.
func inPlaceOf(f *testfleet.Fleet, kind ceremony.Kind, old, other []byte) made {
	return resealed(f, kind, base64.StdEncoding.EncodeToString(old), base64.StdEncoding.EncodeToString(other))
}

func init() {
	vault := func(f *testfleet.Fleet) (*ceremony.Account, *ceremony.Key, *ceremony.Key) {
		a, _, err := ceremony.Replay(f.Plan, ceremony.TranscriptFile, f.Transcript())
		if err != nil {
			panic(err)
		}
		return a, a.Keys[1], a.Keys[3] // of each HSM the second
	}
	vectors = append(vectors,
		vector{"post-quantum", "nothing: keys of ML-DSA-44 beside those of Ed25519, countersigned with ML-DSA-65", "", "", func(t *testing.T) made {
			return plainly(t, postQuantum(t, "post-quantum"), nil)
		}},
		vector{"post-quantum-possession-for-another-use", "an ML-DSA key that signed the text of its possession as a countersignature", "it was made for fleetctl/countersignature/v1", "", func(t *testing.T) made {
			f := postQuantum(t, "post-quantum")
			a, k, _ := vault(f)
			return inPlaceOf(f, ceremony.KindPossession, k.Possession.Signature, must(f.Tokens[0].Key(k.Intent.ID).SignAs(keys.ForCountersignature, a.PossessionText(k))))
		}},
		vector{"post-quantum-possession-of-another-key", "an ML-DSA key with the signature of another HSM's", "hsm-1 vault: its proof of possession: the signature does not verify", "", func(t *testing.T) made {
			f := postQuantum(t, "post-quantum")
			_, k, other := vault(f)
			return inPlaceOf(f, ceremony.KindPossession, k.Possession.Signature, other.Possession.Signature)
		}},
		vector{"post-quantum-countersignature-for-another-use", "a countersignature that was made for a session", "it was made for fleetctl/session/v1", "", func(t *testing.T) made {
			f := postQuantum(t, "post-quantum")
			a, _, _ := vault(f)
			text := must(a.CountersignText())
			return inPlaceOf(f, ceremony.KindCountersignature, a.Counter.Signature, must(f.Parties.Operator.SignAs(keys.ForSession, text)))
		}},
	)
}
