package ceremony_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func agreeing(t *testing.T) *testfleet.Fleet {
	t.Helper()
	return testfleet.New(t, testfleet.Options{Name: "agreeing", HSMs: 2, Challenger: "ada", Roles: []draft.Role{
		{Name: "session", Algorithm: keys.Ed25519}, {Name: "sealing", Algorithm: keys.ECDHP256},
	}})
}

func firstPeer(x *forger) *ceremony.AgreementPeer {
	return x.get(ceremony.KindAgreementPeer, 0).content.(*ceremony.AgreementPeer)
}

// agreementFaults are records of an agreement that no ceremony can have.
var agreementFaults = map[string]struct {
	forge func(x *forger)
	want  string
}{
	"no peer": {func(x *forger) { x.drop(x.at(ceremony.KindAgreementPeer, 0)) }, `wants a record "agreement-peer" here`},
	"the peer afterwards": {func(x *forger) {
		i := x.at(ceremony.KindAgreementPeer, 0)
		x.entries[i], x.entries[i+1] = x.entries[i+1], x.entries[i]
	}, `wants a record "agreement-peer" here`},
	"the scalar before the answer": {func(x *forger) {
		i := x.at(ceremony.KindAgreementOpened, 0)
		x.entries[i], x.entries[i-1] = x.entries[i-1], x.entries[i]
	}, `wants a record "possession" here`},
	"never opened": {func(x *forger) { x.drop(x.at(ceremony.KindAgreementOpened, 0)) }, `wants a record "agreement-opened" here`},
	"of a key that signs": {func(x *forger) {
		x.entries = slices.Insert(x.entries, x.at(ceremony.KindPossession, 0), x.get(ceremony.KindAgreementPeer, 0))
	}, `wants a record "possession" here`},
	"off the curve":       {func(x *forger) { firstPeer(x).Peer = append([]byte{2}, append(make([]byte, 31), 4)...) }, "no compressed point of P-256"},
	"the identity":        {func(x *forger) { firstPeer(x).Peer = make([]byte, 33) }, "no compressed point of P-256"},
	"of X25519":           {func(x *forger) { firstPeer(x).Peer = append([]byte{9}, make([]byte, 31)...) }, "has 32 bytes"},
	"nobody's":            {func(x *forger) { firstPeer(x).Challenger = "" }, `drawn by "", who is no auditor`},
	"a witness's":         {func(x *forger) { firstPeer(x).Challenger = "wanda" }, `drawn by "wanda", who is no auditor`},
	"drawn by an officer": {func(x *forger) { firstPeer(x).By = "officer" }, `its by is "officer" and its challenger "ada"`},
	"machine and auditor": {func(x *forger) { firstPeer(x).By = "machine" }, `its by is "machine" and its challenger "ada"`},
	"a peer told already": {func(x *forger) {
		x.get(ceremony.KindAgreementPeer, 1).content.(*ceremony.AgreementPeer).Peer = firstPeer(x).Peer
	}, "was drawn for another key of this ceremony already"},
	"the point with the same x": {func(x *forger) {
		p := bytes.Clone(firstPeer(x).Peer)
		p[0] ^= 1
		x.get(ceremony.KindAgreementPeer, 1).content.(*ceremony.AgreementPeer).Peer = p
	}, "was drawn for another key of this ceremony already"},
	"another scalar": {func(x *forger) {
		x.get(ceremony.KindAgreementOpened, 0).content.(*ceremony.AgreementOpened).Scalar = bytes.Repeat([]byte{7}, 32)
	}, "is not the private half of the peer that the key agreed with"},
	"a scalar out of range": {func(x *forger) {
		x.get(ceremony.KindAgreementOpened, 0).content.(*ceremony.AgreementOpened).Scalar = make([]byte, 32)
	}, "is no private half of a peer"},
	"a signature as an answer": {func(x *forger) {
		change(x.get(ceremony.KindPossession, 1), func(c *ceremony.Possession) {
			c.Intent = intentOf(x, 1)
			c.Signature, c.Answer = []byte("x"), [32]byte{}
		})
	}, "proves possession by an answer, not by a signature"},
	"both": {func(x *forger) {
		change(x.get(ceremony.KindPossession, 1), func(c *ceremony.Possession) {
			c.Intent = intentOf(x, 1)
			c.Signature, c.Answer = []byte("x"), [32]byte{1}
		})
	}, "proves possession by an answer, not by a signature"},
	"an answer as a signature": {func(x *forger) {
		change(x.get(ceremony.KindPossession, 0), func(c *ceremony.Possession) { c.Intent = intentOf(x, 0); c.Signature, c.Answer = nil, [32]byte{1} })
	}, "proves possession by a signature, not by an answer"},
	"a guessed answer": {func(x *forger) {
		change(x.get(ceremony.KindPossession, 1), func(c *ceremony.Possession) { c.Intent = intentOf(x, 1); c.Answer = [32]byte{1} })
	}, "after a failed check (hsm-1 sealing: its proof of possession: the answer is not the key's)"},
	"the algorithm of a key that signs": {func(x *forger) {
		x.get(ceremony.KindIntent, 1).content.(*ceremony.Intent).Algorithm = keys.P256
	}, `it is for role "sealing", ecdsa-p256`},
	"a template that signs": {func(x *forger) {
		c := x.get(ceremony.KindIntent, 1).content.(*ceremony.Intent)
		for i := range c.Template {
			if c.Template[i].Name == "SIGN" {
				c.Template = slices.Clone(c.Template)
				c.Template[i].Value = true
			}
		}
	}, "its template has SIGN true where the plan's has SIGN false"},
}

// Whoever has everybody's keys can write what he likes; the rules refuse what a
// ceremony can't have done.
func TestRecordsOfAnAgreementThatCannotBeAreRefused(t *testing.T) {
	f := agreeing(t)
	if _, err := newForger(t, f).replay(); err != nil {
		t.Fatalf("the honest transcript, linked anew: %v", err)
	}
	for name, c := range agreementFaults {
		x := newForger(t, f)
		c.forge(x)
		if _, err := x.replay(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}

// intentOf is the number of an intent's record.
func intentOf(x *forger, i int) int { return x.at(ceremony.KindIntent, i) + 1 }

// Whoever knows the scalar answers for the HSM: so what the records show to others
// is no more than that the challenger says so.
func TestWhoeverKnowsTheScalarNeedsNoHSM(t *testing.T) {
	f := agreeing(t)
	x := newForger(t, f)
	stranger := testfleet.SoftSigner(keys.P256, "a stranger").Public
	change(x.get(ceremony.KindOutcome, 1), func(c *ceremony.Outcome) { c.Intent, c.PublicKey = intentOf(x, 1), stranger.SPKI() })
	found := x.get(ceremony.KindFound, 1).content.(*ceremony.Found)
	found.PublicKey = stranger.Fingerprint()
	if _, err := x.replay(); err != nil {
		t.Errorf("a key that no HSM has, answered for with the scalar: %v", err)
	}
}

// misuseFaults are attempts on a key that agrees, the last two of which its use alone has.
var misuseFaults = map[string]struct {
	edit func(l []ceremony.Attempt)
	want string
}{
	"it signs":                 {func(l []ceremony.Attempt) { l[6].Code, l[6].Call = "CKR_OK", "C_Sign" }, "attempt sign succeeded: the key signs, and it is only for agreement"},
	"it takes any point":       {func(l []ceremony.Attempt) { l[7].Code = "CKR_OK" }, "attempt agree-invalid-point succeeded: the secrets that it gives for such points reveal the key"},
	"signing is not refused":   {func(l []ceremony.Attempt) { l[6].Code = "CKR_DEVICE_ERROR" }, "attempt sign ended with CKR_DEVICE_ERROR, which does not mean a refusal"},
	"the point is not refused": {func(l []ceremony.Attempt) { l[7].Code = "CKR_DEVICE_REMOVED" }, "attempt agree-invalid-point ended with CKR_DEVICE_REMOVED, which does not mean a refusal"},
	"signing was not tried":    {func(l []ceremony.Attempt) { l[6].Unstaged = true }, "attempt sign could not be made"},
	"another order":            {func(l []ceremony.Attempt) { l[6], l[7] = l[7], l[6] }, `attempt 7 is "agree-invalid-point", "sign" is demanded`},
	"another call":             {func(l []ceremony.Attempt) { l[7].Call = "C_Sign" }, "attempt agree-invalid-point names the call C_Sign; C_DeriveKey"},
}

func TestAnAttemptToMisuseAKeyThatSucceedsIsAFault(t *testing.T) {
	for name, c := range misuseFaults {
		x := newForger(t, agreeingOnce(t))
		n := x.get(ceremony.KindNegativeTest, 1).content.(*ceremony.NegativeTest)
		n.Attempts = slices.Clone(n.Attempts)
		c.edit(n.Attempts)
		if _, err := x.replay(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	// A key that signs has none of these attempts, and one that agrees all.
	x := newForger(t, agreeingOnce(t))
	sign, agree := x.get(ceremony.KindNegativeTest, 0).content.(*ceremony.NegativeTest), x.get(ceremony.KindNegativeTest, 1).content.(*ceremony.NegativeTest)
	sign.Attempts, agree.Attempts = agree.Attempts, sign.Attempts
	if _, err := x.replay(); err == nil || !strings.Contains(err.Error(), "10 attempts to take the key out, 8 are demanded") {
		t.Errorf("the attempts of the other use: %v", err)
	}
}

var agreed *testfleet.Fleet

func agreeingOnce(t *testing.T) *testfleet.Fleet {
	if agreed == nil {
		agreed = agreeing(t)
	}
	return agreed
}
