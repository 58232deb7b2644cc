package ceremony

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// away is an auditor who is asked for a challenge and hasn't drawn one yet.
type away struct {
	testfleet.Machine
	asked engine.AgreementQuestion
}

var errAway = errors.New("the auditor is away")

func (p *away) Peer(_ context.Context, q engine.AgreementQuestion) ([]byte, string, string, error) {
	p.asked = q
	return nil, "", "", errAway
}

// A challenge of ML-KEM is made for the key that waits by the records, and for no other.
func TestTheKeyThatWaitsForAChallengeIsReadFromTheRecords(t *testing.T) {
	for _, alg := range []keys.Algorithm{keys.MLKEM768, keys.ECDHP256} {
		f := testfleet.Prepared(t, testfleet.Options{Name: "waits " + string(alg), HSMs: 1, Roles: []draft.Role{
			{Name: "session", Algorithm: keys.Ed25519}, {Name: "sealing", Algorithm: alg},
		}})
		who := &away{}
		c := f.Config(f.Dir, testfleet.Random("run"))
		c.Participants = who
		if _, err := engine.Run(t.Context(), c); !errors.Is(err, errAway) {
			t.Fatal(err)
		}
		key, err := waiting(keys.MLKEM768, f.Dir)
		if alg.IsMLKEM() {
			if err != nil || len(key) == 0 || !bytes.Equal(key, who.asked.PublicKey) {
				t.Errorf("%x, %v", key, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "no key of ml-kem-768 waits for a challenge") {
			t.Errorf("%s: %x, %v", alg, key, err)
		}
	}
}
