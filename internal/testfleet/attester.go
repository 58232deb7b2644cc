package testfleet

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/attest/tpm/tpmtest"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// Attester stands in for devices: TPMs in software, one for each HSM and one for
// the countersigner's, that attest whatever key they are asked about. Its
// evidence is validly signed; what it says of where a key is, nobody made true.
type Attester struct {
	Devices map[string]*tpmtest.Device // by HSM; "" the countersigner's
	Block   require.Block              // by which the room judges
	// ByHand are the HSMs that can't be asked: people bring what a tool made.
	ByHand map[string]bool
	// OnEvidence may change what a device gave, or fail in its place.
	OnEvidence func(q engine.AttestQuestion, e *attest.Evidence) (*attest.Evidence, error)
	// Credulous people find whatever they are given to be what the plan asks for, and
	// have that on the record.
	Credulous bool
	// Asked are the questions so far that devices or people were asked, and Wrong
	// what people were told of what they had brought.
	Asked []engine.AttestQuestion
	Wrong []string

	t testing.TB
}

// newAttester has a device for each name, all of them pinned and confirmed. What
// they are follows from the fleet's name.
func newAttester(t testing.TB, fleet string, names ...string) *Attester {
	x := &Attester{t: t, Devices: map[string]*tpmtest.Device{}, ByHand: map[string]bool{}}
	var roots []attest.Anchor
	for _, n := range names {
		d := tpmtest.Named(t, fleet+" "+n)
		x.Devices[n] = d
		roots = append(roots, attesttest.Pin(t, tpm.Format, d.Root.Certificate).All()...)
	}
	for i := range roots {
		roots[i].Confirmed = "by the test"
	}
	anchors, err := attest.NewAnchors(roots...)
	if err != nil {
		t.Fatal(err)
	}
	x.Block = require.Block{Least: attest.Fresh, Countersigner: attest.Fresh, Anchors: anchors}
	return x
}

// Evidence is what the device that a question is for answers.
func (x *Attester) Evidence(q engine.AttestQuestion) *attest.Evidence {
	x.t.Helper()
	pub, err := x509.ParsePKIXPublicKey(q.SPKI)
	if err != nil {
		x.t.Fatal(err)
	}
	attrs := tpmtest.KeyAttrs
	if q.Agrees {
		attrs.SignEncrypt, attrs.Decrypt = false, true
	}
	return x.Devices[q.HSM].Attested(pub, attrs, func(a *tpm2.TPMSAttest) { a.ExtraData.Buffer = q.Nonce[:] }).Input.Evidence
}

func (x *Attester) answer(q engine.AttestQuestion) (*attest.Evidence, error) {
	x.Asked = append(x.Asked, q)
	e := x.Evidence(q)
	if x.OnEvidence != nil {
		return x.OnEvidence(q, e)
	}
	return e, nil
}

// Collect asks the device.
func (x *Attester) Collect(_ context.Context, _ *engine.SiteHSM, _ engine.Token, _ []byte, q engine.AttestQuestion) (*attest.Evidence, error) {
	if x.ByHand[q.HSM] {
		return nil, engine.ErrNoCollector
	}
	return x.answer(q)
}

// Judge judges by the block.
func (x *Attester) Judge(e *attest.Evidence, q engine.AttestQuestion, at time.Time) (*engine.AttestVerdict, error) {
	if x.Credulous {
		return &engine.AttestVerdict{Identity: q.Identity, Level: attest.Fresh, Anchor: "AK root", Firmware: "1.2.3.4"}, nil
	}
	v, err := x.Block.Judge(e, require.Question{
		Format: q.Format, Identity: q.Identity, SPKI: q.SPKI, Nonce: q.Nonce, Agrees: q.Agrees, Countersigner: q.Countersigner, At: at,
	})
	if err != nil {
		return nil, err
	}
	out := &engine.AttestVerdict{Identity: v.Claims.Platform.Identity, Level: v.Claims.Level, Firmware: v.Claims.Platform.Firmware}
	if v.Claims.Anchor != nil {
		out.Anchor = v.Claims.Anchor.Name
	}
	for _, p := range v.Problems {
		out.Problems = append(out.Problems, p.String())
	}
	return out, nil
}

// withHand is the machine that stands in for the people, with a vendor's tool.
type withHand struct {
	Machine
	x *Attester
}

// Attestation uses the tool once more after what was no answer.
func (w withHand) Attestation(_ context.Context, q engine.AttestQuestion, wrong error) (*attest.Evidence, error) {
	if wrong != nil {
		w.x.Wrong = append(w.x.Wrong, wrong.Error())
	}
	return w.x.answer(q)
}

// device names an HSM in the plan by its stand-in.
func (x *Attester) device(hsm string) *ceremony.Device {
	if x.Devices[hsm] == nil { // a test took it away: the plan names none there
		return nil
	}
	return &ceremony.Device{Format: tpm.Format, Identity: x.Devices[hsm].ID}
}

// attested gives the plan's HSMs devices, and all of them one serial, as a module
// has that reports none.
func (f *Fleet) attested(t testing.TB, hsms []ceremony.PlanHSM) {
	names := []string{""}
	for _, h := range hsms {
		names = append(names, h.Name)
	}
	f.Attester = newAttester(t, f.o.Name, names...)
	for i := range hsms {
		hsms[i].Serial, hsms[i].Attestation = noSerial, f.Attester.device(hsms[i].Name)
		f.Tokens[i].About.Serial = noSerial
	}
}

const noSerial = "0000000000000000"

// attestable are the roles of a fleet whose devices attest: TPMs have no Ed25519.
var attestable = []draft.Role{{Name: "session", Algorithm: keys.P256}}
