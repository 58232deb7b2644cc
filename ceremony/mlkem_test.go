package ceremony_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

var kemRoles = []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "sealing", Algorithm: keys.MLKEM768}}

func TestKeysOfMLKEMAnswerTheirAuditor(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "encapsulated", HSMs: 2, Challenger: "ada", Roles: kemRoles})
	list := f.Account.KeysOf(keys.Agree)
	if len(list) != 2 {
		t.Fatalf("%d keys agree", len(list))
	}
	for _, k := range list {
		if k.Intent.Algorithm != keys.MLKEM768 || len(k.Peer.Peer) != 1088 || k.Peer.Challenger != "ada" || k.Possession.Answer == [32]byte{} {
			t.Errorf("%s: %+v", k.HSM, k.Peer)
		}
		for _, want := range []ceremony.Setting{{Name: token.Decapsulate, Value: true}, {Name: token.Derive, Value: false}, {Name: token.Sign, Value: false}} {
			if !slices.Contains(k.Intent.Template, want) {
				t.Errorf("%s: the template has no %+v: %+v", k.HSM, want, k.Intent.Template)
			}
		}
		if a := k.Attempts[7]; a.Name != token.TryDecapsulateInvalid || a.Call != token.CallDecapsulate {
			t.Errorf("%s: %+v", k.HSM, a)
		}
	}
}

// A forged transcript has the scalars and makes the answers anew with them, as whoever
// forges would; what can't have been is refused all the same.
func TestRecordsOfADecapsulationThatCannotBeAreRefused(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "encapsulated", HSMs: 2, Challenger: "ada", Roles: kemRoles})
	if _, err := newForger(t, f).replay(); err != nil {
		t.Fatalf("the honest transcript, linked anew: %v", err)
	}
	opened := func(x *forger, n int) *ceremony.AgreementOpened {
		return x.get(ceremony.KindAgreementOpened, n).content.(*ceremony.AgreementOpened)
	}
	outcome := func(x *forger, n int) []byte {
		return x.get(ceremony.KindOutcome, n).content.(*ceremony.Outcome).PublicKey
	}
	peerOf := func(spki, scalar []byte) []byte {
		p := must(keys.ParseAs(keys.MLKEM768, spki))
		return must(must(keys.ParseScalar(keys.MLKEM768, scalar)).Peer(p)).Encode()
	}
	reading := func(half, name, value string) func(x *forger) {
		return func(x *forger) {
			c := x.get(ceremony.KindAttributes, 1).content.(*ceremony.Attributes)
			list := map[string]*[]ceremony.Attribute{"private": &c.Private, "public": &c.Public}[half]
			*list = slices.Clone(*list)
			for i := range *list {
				if (*list)[i].Name == name {
					(*list)[i].Value = value
				}
			}
		}
	}
	attempt := func(edit func(*ceremony.Attempt)) func(x *forger) {
		return func(x *forger) {
			c := x.get(ceremony.KindNegativeTest, 1).content.(*ceremony.NegativeTest)
			c.Attempts = slices.Clone(c.Attempts)
			edit(&c.Attempts[7])
		}
	}
	for name, c := range map[string]struct {
		forge func(x *forger)
		want  string
	}{
		"a ciphertext that is cut":   {func(x *forger) { firstPeer(x).Peer = firstPeer(x).Peer[:1087] }, "has 1087 bytes, one for ml-kem-768 has 1088"},
		"a ciphertext with a bit on": {func(x *forger) { firstPeer(x).Peer = flip(firstPeer(x).Peer) }, "is not the private half of the peer that the key agreed with"},
		"another key's ciphertext":   {func(x *forger) { firstPeer(x).Peer = peerOf(outcome(x, 3), opened(x, 0).Scalar) }, "is not the private half of the peer that the key agreed with"},
		"a ciphertext replayed": {func(x *forger) {
			x.get(ceremony.KindAgreementPeer, 1).content.(*ceremony.AgreementPeer).Peer = firstPeer(x).Peer
		}, "was drawn for another key of this ceremony already"},
		"a scalar replayed": {func(x *forger) {
			x.get(ceremony.KindAgreementPeer, 1).content.(*ceremony.AgreementPeer).Peer = peerOf(outcome(x, 3), opened(x, 0).Scalar)
			opened(x, 1).Scalar = opened(x, 0).Scalar
		}, "was opened for another key of this ceremony already"},
		"another scalar":   {func(x *forger) { opened(x, 0).Scalar = bytes.Repeat([]byte{7}, 32) }, "is not the private half of the peer that the key agreed with"},
		"a scalar of 64":   {func(x *forger) { opened(x, 0).Scalar = make([]byte, 64) }, "has 64 bytes"},
		"the wrong secret": {func(x *forger) { rejected(x, 1) }, "after a failed check (hsm-1 sealing: its proof of possession: the answer is not the key's)"},
		"the other's answer": {func(x *forger) {
			other := x.get(ceremony.KindPossession, 3).content.(*ceremony.Possession).Answer
			change(x.get(ceremony.KindPossession, 1), func(c *ceremony.Possession) { c.Intent, c.Answer = intentOf(x, 1), other })
		}, "the answer is not the key's"},
		"of another parameter set": {reading("private", "PARAMETER_SET", "0000000000000003"), `PARAMETER_SET "0000000000000003", that of such a key is "0000000000000002"`},
		"it doesn't decapsulate":   {reading("private", "DECAPSULATE", "false"), `DECAPSULATE is "false", the plan says true`},
		"it derives":               {reading("private", "DERIVE", "true"), `DERIVE is "true", the plan says false`},
		"another public key":       {reading("public", "VALUE", fmt.Sprintf("%x", make([]byte, 1184))), "is not the key that was generated"},
		"it takes what is cut":     {attempt(func(a *ceremony.Attempt) { a.Code = "CKR_OK" }), "attempt decapsulate-invalid-ciphertext succeeded"},
		"the attempt of ECDH": {attempt(func(a *ceremony.Attempt) {
			a.Name, a.Call, a.Code = token.TryAgreeInvalid, token.CallDerive, "CKR_MECHANISM_PARAM_INVALID"
		}), `"decapsulate-invalid-ciphertext" is demanded`},
		"an attempt that wasn't made":    {attempt(func(a *ceremony.Attempt) { a.Unstaged = true }), "could not be made"},
		"an attempt by another function": {attempt(func(a *ceremony.Attempt) { a.Call = token.CallDerive }), "names the call C_DeriveKey; C_DecapsulateKey decides it"},
	} {
		x := newForger(t, f)
		c.forge(x)
		if _, err := x.replay(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}

// rejected gives the answer of an HSM that has another key: it decapsulates to a secret
// that looks like any other (FIPS 203, implicit rejection).
func rejected(x *forger, n int) {
	change(x.get(ceremony.KindPossession, n), func(c *ceremony.Possession) {
		c.Intent, c.Answer = intentOf(x, n), sha256.Sum256([]byte("another secret"))
	})
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[0] ^= 1
	return b
}

func TestAPlanHasMLKEMForAgreementAloneAndNotByATPM(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Name: "encapsulated plan", Roles: kemRoles})
	plan := string(f.Plan.Raw())
	for name, c := range map[string]struct{ old, new, want string }{
		"to sign":                {"    use: agree\n    algorithm: ml-kem-768\n", "    algorithm: ml-kem-768\n", "ml-kem-768"},
		"by a TPM":               {"    serial: ", "    agreement: tpm2-ecdh-zgen\n    serial: ", "no TPM has ml-kem-768"},
		"with DERIVE":            {"    algorithm: ml-kem-768\n", "    algorithm: ml-kem-768\n    attributes:\n      DERIVE: required true\n", `must be "required false" in every plan`},
		"not to open":            {"    algorithm: ml-kem-768\n", "    algorithm: ml-kem-768\n    attributes:\n      DECAPSULATE: required false\n", `must be "required true" in every plan`},
		"DECAPSULATE of Ed25519": {"    algorithm: ed25519\n", "    algorithm: ed25519\n    attributes:\n      DECAPSULATE: required false\n", "is not known here"},
	} {
		changed := strings.Replace(plan, c.old, c.new, 1)
		if changed == plan {
			t.Errorf("%s: the plan has no %q:\n%s", name, c.old, plan)
			continue
		}
		if _, err := ceremony.ParsePlan("plan.yaml", []byte(changed)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}
