package bundle_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// A device's whole program. What it pins is compiled in; the bundle and its
// proof come from anybody; the state is kept from one check to the next.
func ExampleCheck() {
	decode := func(s string) []byte { b, _ := base64.StdEncoding.DecodeString(s); return b }
	operator, err := keys.ParseSPKI(decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZGPRw4QTrRyBDp/jv76iyhYNO1zSKu4YGYNR6A90JVxQCCnKiw6jey5y6LtxxQvBWWLHjZNNsWc2abGavljFng=="))
	if err != nil {
		panic(err)
	}
	trust := &bundle.Trust{Mode: bundle.Production, Namespace: "example.backup.fleet_keys.v1", Needed: 1,
		ThirdParties: []bundle.ThirdParty{{Name: "tp-1", Key: [32]byte(decode("8pPOb43UUuQ7S9l+9bPbuspXBA80l9GvQloX+61GFQ8="))}},
		Operators:    []bundle.Operator{{Name: "operator", Key: operator, Form: bundle.FormBound}}}
	logText, _ := os.ReadFile("../testdata/vectors/bundle/_files/log.policy")
	log, err := auditlog.ParsePolicy("log.policy", logText)
	if err != nil {
		panic(err)
	}

	leaf, _ := os.ReadFile("../testdata/vectors/bundle/good/bundle.json")
	proof, _ := os.ReadFile("../testdata/vectors/bundle/logged-good/bundle.json.tlog-proof")
	var state *bundle.DeviceState // nil at first contact
	now := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	accepted, err := bundle.Check(leaf, proof, trust, log, state, now, 24*time.Hour)
	if err != nil {
		fmt.Println("refused:", err) // and go on with what was accepted before
		return
	}
	state = &accepted.State // to be kept
	fmt.Printf("epoch %d of %s, seen by witnesses %s ago, keys of %v\n", state.Epoch, state.Fleet, accepted.Age, accepted.Bundle.KeySet.HSMs())
	// Output:
	// epoch 1 of backup-2026a, seen by witnesses 1h0m0s ago, keys of [hsm-1 hsm-2 hsm-3 hsm-4 hsm-5]
}
