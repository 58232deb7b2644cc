package evidence_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// deviceFleet is a closed ceremony whose devices attest. Whoever has the operator's
// hands has the devices too: they attest whatever key is in them, by whatever nonce,
// and no other.
func deviceFleet(t testing.TB) *base {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Name: "forged devices", HSMs: 2, Witnesses: 3, Attested: true, Others: 1, Needed: 1})
	records := must(ceremony.ParseTranscript("t", f.Transcript(), f.Plan.Digest())).Records
	return newBase(t, f, records, "")
}

// attest has the device of the key whose turn it is asked anew, where the attacker
// has it and the key is in it; else the evidence is what was honestly given.
func (g *forgery) attest(c *ceremony.Attestation) {
	s, ok := g.a.NextAttestation()
	if !ok {
		return
	}
	c.Intent, c.Format, c.Identity = s.Intent(), s.Wants.Format, s.Wants.Identity
	data := g.base.files[s.File]
	if g.who.operator && g.inside(&s) {
		data = g.fleet.Attester.Evidence(engine.QuestionOf(&s)).Encode()
	}
	if e, err := attest.ParseEvidence(s.File, g.put(s.File, data)); err == nil {
		c.Evidence = e.Digest()
	}
}

// inside says whether a device holds the key that it is asked about.
func (g *forgery) inside(s *ceremony.AttestationStep) bool {
	if s.Key == nil {
		return bytes.Equal(s.SPKI, g.fleet.Parties.Operator.Public.SPKI())
	}
	for i, h := range g.fleet.Plan.HSMs {
		if k := g.fleet.Tokens[i].Key(g.was(s.Key.N).ID); h.Name == s.HSM && k != nil && bytes.Equal(k.Public.SPKI(), s.SPKI) {
			return true
		}
	}
	return false
}

// deviceLies are about devices' evidence, and what is told of it: in the records, in
// the plan, in the files; and a key that is in no device.
func (b *base) deviceLies() []lie {
	of := func(list []lie, prefixes ...string) []lie {
		return slices.DeleteFunc(list, func(l lie) bool {
			return !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(l.field, p) })
		})
	}
	i := slices.IndexFunc(b.records, func(r *ceremony.Record) bool { return r.Kind == ceremony.KindOutcome })
	own := lie{field: "outcome.public_key", how: "a key of the attacker's own on P-256", record: i + 1, edit: func(_ *forgery, x *ceremony.Record) {
		x.Content.(*ceremony.Outcome).PublicKey = b.operator.Public.SPKI()
	}}
	return slices.Concat(of(b.recordLies(), "attestation"), []lie{own},
		of(b.planLies(), "plan.yaml hsms.attestation", "plan.yaml countersigner.attestation", "plan.yaml hsms.format", "plan.yaml hsms.identity"),
		of(b.jsonLies(), ceremony.AttestationsDir))
}
