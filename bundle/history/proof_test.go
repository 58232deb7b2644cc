package history

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
)

func signWith(name string) func([]byte) ([]byte, error) {
	return func(msg []byte) ([]byte, error) { return ed25519.Sign(edKey(name), msg), nil }
}

// logged is the proof that an entry is the only one of a log, cosigned at a time, and the
// policy by which it counts.
func logged(leaf []byte, at time.Time) (log, witness *auditlog.Verifier, policy *auditlog.Policy, proof []byte) {
	logKey, witnessKey := raw("log"), raw("witness")
	log = must(auditlog.NewVerifier("log.example/fleet", auditlog.Ed25519, logKey[:]))
	witness = must(auditlog.NewVerifier("witness.example/w", auditlog.Ed25519Cosignature, witnessKey[:]))
	c := &auditlog.Checkpoint{Origin: log.Name(), Size: 1, Root: sha256.Sum256(append([]byte{0}, leaf...))}
	c.Signatures = []auditlog.Signature{
		{Name: log.Name(), KeyHash: log.KeyHash(), Raw: must(c.SignAsLog(log, signWith("log")))},
		must(c.Cosign(witness, at, signWith("witness"))),
	}
	policy = must(auditlog.ParsePolicy("policy", fmt.Appendf(nil, "log %s\nwitness w %s\nquorum w\n", log, witness)))
	return log, witness, policy, (&auditlog.Proof{Checkpoint: c}).Marshal()
}

// A third party's key was compromised. What a witness had seen before counts, unless the
// witness's key is known to be stolen, or the log's is over: whoever has them chooses.
func TestAProofCountsByTheWindowsOfItsKeys(t *testing.T) {
	f := newFleet(1)
	leaf := f.bundles[0].Raw()
	signed := time.UnixMilli(start + 3600_000).UTC()
	ended := new(signed.Add(time.Hour))
	for name, c := range map[string]struct {
		window func(log, witness *auditlog.Verifier) string
		want   string
	}{
		"every key's is open":         {func(_, _ *auditlog.Verifier) string { return "" }, ""},
		"the witness's key is stolen": {func(_, w *auditlog.Verifier) string { return w.String() }, Countersign},
		"the log's key is stolen":     {func(l, _ *auditlog.Verifier) string { return l.String() }, ""}, // before that witnesses had seen it
	} {
		log, witness, policy, proof := logged(leaf, signed.Add(time.Minute))
		if key := c.window(log, witness); key != "" {
			if err := policy.SetWindow(key, auditlog.Window{CompromisedAfter: ended}); err != nil {
				t.Fatal(err)
			}
		}
		o := options()
		o.Keys[0].Window.CompromisedAfter, o.Log = ended, policy
		o.Trust = func(ns string) *bundle.Trust {
			x := trust(ns)
			x.ThirdParties[0].Window.CompromisedAfter = ended
			return x
		}
		r := check(t, memory{{Data: leaf, Operator: true, Proof: proof}}, o)
		var bad []string
		for _, p := range r.Problems {
			bad = append(bad, p.Check+": "+p.What)
		}
		if text := strings.Join(bad, "\n"); (text == "") != (c.want == "") || !strings.Contains(text, c.want) {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}
