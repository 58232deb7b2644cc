package bundle_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func raw(b64 string) []byte {
	b, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		panic(err)
	}
	return b
}

// What is pinned comes from a policy, never from beside the bundle.
func Example() {
	operator, err := keys.ParseSPKI(raw("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZGPRw4QTrRyBDp/jv76iyhYNO1zSKu4YGYNR6A90JVxQCCnKiw6jey5y6LtxxQvBWWLHjZNNsWc2abGavljFng=="))
	if err != nil {
		fmt.Println(err)
		return
	}
	trust := &bundle.Trust{
		Mode:      bundle.Production,
		Namespace: "example.backup.fleet_keys.v1",
		ThirdParties: []bundle.ThirdParty{
			{Name: "tp-1", Key: [32]byte(raw("8pPOb43UUuQ7S9l+9bPbuspXBA80l9GvQloX+61GFQ8="))},
			{Name: "tp-2", Key: [32]byte(raw("nkFL3kUEjnGIk3NlpvH0qvywLHgsQicB/0sUVQ4MO2o="))},
		},
		Needed:    2,
		Operators: []bundle.Operator{{Name: "operator", Key: operator, Form: bundle.FormBound}},
	}
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

	for _, name := range []string{"good", "judged-statement-missing"} {
		data, err := os.ReadFile("../testdata/vectors/bundle/" + name + "/bundle.json")
		if err != nil {
			fmt.Println(err)
			return
		}
		b, err := bundle.ParseBundle(name+".json", data)
		if err != nil {
			fmt.Println(err)
			return
		}
		result, err := b.Verify(trust, now, nil)
		var short *bundle.Short
		switch {
		case errors.As(err, &short):
			fmt.Println("more signatures are needed:", err)
		case err != nil:
			fmt.Println("wrong:", err)
		default:
			fmt.Printf("epoch %d of %s: %d HSMs, majority %d\n", b.KeySet.Epoch, b.KeySet.Fleet, len(b.KeySet.HSMs()), b.KeySet.Majority)
			for _, s := range result.ThirdParties {
				fmt.Println("signed by", s.Name, "at", s.Time.Format(time.RFC3339))
			}
			for _, o := range result.Operators {
				fmt.Println("countersigned by", o.Name)
			}
		}
	}
	// Output:
	// epoch 1 of backup-2026a: 5 HSMs, majority 3
	// signed by tp-2 at 2026-11-21T10:30:00Z
	// signed by tp-1 at 2026-11-21T10:30:00Z
	// countersigned by operator
	// more signatures are needed: judged-statement-missing.json: is short: 1 of the 2 pinned third parties needed have signed (outside their key's window 0, by keys not pinned 0)
}
