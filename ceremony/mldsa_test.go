package ceremony_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// postQuantum is a whole ceremony of a classical role and one of ML-DSA-44, with a
// countersigner of ML-DSA-65.
func postQuantum(t testing.TB) *testfleet.Fleet {
	t.Helper()
	parties := testfleet.SoftParties("post-quantum", t.TempDir())
	parties.Operator = testfleet.SoftSigner(keys.MLDSA65, "post-quantum operator")
	return testfleet.New(t, testfleet.Options{
		Name: "post-quantum", HSMs: 2, Parties: parties,
		Roles: []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "vault", Algorithm: keys.MLDSA44}},
	})
}

func TestACeremonyOfMLDSAKeysIsVerified(t *testing.T) {
	f := postQuantum(t)
	p, err := evidence.ParsePolicy("policy.yaml", f.Policy)
	if err != nil {
		t.Fatal(err)
	}
	r, err := evidence.Verify(evidence.Input{File: "evidence.tar", Data: f.Archive}, p, evidence.Question{Now: f.Now()})
	if err != nil || !r.Verified {
		t.Fatalf("%v: %+v", err, r)
	}
	if got := newForger(t, f).write(); !bytes.Equal(got, f.Transcript()) {
		t.Fatal("an honest forger writes another transcript: the test below would test nothing")
	}
}

// What an ML-DSA key signed for one use, or another key's signature, or none, shows
// nothing, and what was read of another parameter set or key is found out.
func TestASignatureOfMLDSAForAnotherUseIsRefused(t *testing.T) {
	f := postQuantum(t)
	public := func(edit func(*ceremony.Attributes)) func(*forger) {
		return func(x *forger) { change(x.get(ceremony.KindAttributes, 1), edit) }
	}
	set := func(list []ceremony.Attribute, name, value string) {
		list[slices.IndexFunc(list, func(a ceremony.Attribute) bool { return a.Name == name })].Value = value
	}
	possessed := func(as keys.Context, by int) func(*forger) {
		return func(x *forger) {
			n := x.at(ceremony.KindPossession, 1) // of hsm-1's vault
			head := *x
			head.entries = x.entries[:n]
			a := must(head.replay())
			k := a.Keys[len(a.Keys)-1]
			ids := must(x.fleet.Tokens[by].Objects())
			signer := x.fleet.Tokens[by].Key(ids[len(ids)-1].ID)
			change(x.entries[n], func(c *ceremony.Possession) { c.Signature = must(signer.SignAs(as, a.PossessionText(k))) })
		}
	}
	countersigned := func(sign func(text []byte) []byte) func(*forger) {
		return func(x *forger) {
			n := x.at(ceremony.KindCountersignature, 0)
			head := *x
			head.entries = x.entries[:n]
			text := must(must(head.replay()).CountersignText())
			change(x.entries[n], func(c *ceremony.Countersignature) { c.Signature = sign(text) })
		}
	}
	operator := f.Parties.Operator
	for name, c := range map[string]struct {
		edit func(*forger)
		says string // empty: nothing is wrong
	}{
		"possession as it is":       {possessed(keys.ForPossession, 0), ""},
		"possession, countersigned": {possessed(keys.ForCountersignature, 0), "hsm-1 vault: its proof of possession: the signature does not verify for fleetctl/possession/v1: it was made for fleetctl/countersignature/v1"},
		"possession, of a session":  {possessed(keys.ForSession, 0), "it was made for fleetctl/session/v1"},
		"possession, swapped":       {possessed(keys.ForPossession, 1), "hsm-1 vault: its proof of possession: the signature does not verify"},
		"possession, cut": {func(x *forger) {
			change(x.get(ceremony.KindPossession, 1), func(c *ceremony.Possession) { c.Signature = c.Signature[:64] })
		}, "hsm-1 vault: its proof of possession: the signature has 64 bytes, one of ml-dsa-44 has 2420"},
		"possession, stripped": {func(x *forger) {
			change(x.get(ceremony.KindPossession, 1), func(c *ceremony.Possession) { c.Signature = []byte{} })
		}, "signature is empty"},
		"countersignature as it is":      {countersigned(func(text []byte) []byte { return must(operator.Sign(text)) }), ""},
		"countersignature of possession": {countersigned(func(text []byte) []byte { return must(operator.SignAs(keys.ForPossession, text)) }), "the countersignature of operator-1: the signature does not verify for fleetctl/countersignature/v1: it was made for fleetctl/possession/v1"},
		"countersignature of a log":      {countersigned(func(text []byte) []byte { return must(operator.SignAs(keys.ForLog, text)) }), "it was made for c2sp.org"},
		"countersignature by another":    {countersigned(func(text []byte) []byte { return must(testfleet.SoftSigner(keys.MLDSA65, "another").Sign(text)) }), "the countersignature of operator-1: the signature does not verify"},
		"countersignature of another set": {countersigned(func(text []byte) []byte {
			return must(testfleet.SoftSigner(keys.MLDSA87, "post-quantum operator").Sign(text))
		}), "the signature has 4627 bytes, one of ml-dsa-65 has 3309"},
		"countersignature, stripped":      {countersigned(func([]byte) []byte { return []byte{} }), "signature is empty"},
		"parameter set of another":        {public(func(c *ceremony.Attributes) { set(c.Private, "PARAMETER_SET", "0000000000000002") }), `the private half has PARAMETER_SET "0000000000000002", that of such a key is "0000000000000001"`},
		"public parameter set of another": {public(func(c *ceremony.Attributes) { set(c.Public, "PARAMETER_SET", "0000000000000003") }), `the public half has PARAMETER_SET`},
		"another key was read back":       {public(func(c *ceremony.Attributes) { set(c.Public, "VALUE", strings.Repeat("01", 1312)) }), "the public half that was read back is not the key that was generated"},
		"a part of a key was read back":   {public(func(c *ceremony.Attributes) { set(c.Public, "VALUE", "01") }), "the public half that was read back is not the key that was generated"},
		"the private half's value": {public(func(c *ceremony.Attributes) {
			c.Private = append(c.Private, ceremony.Attribute(token.Reading{Name: "VALUE", Value: "00"}))
		}), "VALUE is not an attribute that is read back from the private half"},
		"the seed": {public(func(c *ceremony.Attributes) {
			c.Private = append(c.Private, ceremony.Attribute(token.Reading{Name: "SEED", Value: "00"}))
		}), "SEED is not an attribute that is read back from the private half"},
	} {
		x := newForger(t, f)
		c.edit(x)
		a, err := x.replay()
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = a.Fault
		}
		if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, want %q", name, got, c.says)
		}
	}
}
