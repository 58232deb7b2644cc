package session

import (
	"context"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/ceremony/engine"
)

// attester asks devices and judges by what the operator's policy requires.
type attester struct{ block *require.Block }

// NewAttester judges by the block of a policy. A rehearsal may have none: then
// evidence has to be signed by its vendor, under no pinned key, and the verdict
// on the record says so.
func NewAttester(block *require.Block) engine.Attester {
	if block == nil {
		block = &require.Block{Least: attest.VendorSigned, Countersigner: attest.VendorSigned, Anchors: &attest.Anchors{}}
	}
	return &attester{block}
}

// Collect asks the devices that fleetctl can ask.
func (x *attester) Collect(ctx context.Context, site *engine.SiteHSM, t engine.Token, pin []byte, q engine.AttestQuestion) (*attest.Evidence, error) {
	return collect(ctx, site, t, pin, q)
}

// Judge judges by the block.
func (x *attester) Judge(e *attest.Evidence, q engine.AttestQuestion, at time.Time) (*engine.AttestVerdict, error) {
	v, err := x.block.Judge(e, require.Question{
		Format: q.Format, Identity: q.Identity, SPKI: q.SPKI, Nonce: q.Nonce, Agrees: q.Agrees, Countersigner: q.Countersigner, At: at,
	})
	if err != nil {
		return nil, err
	}
	c := v.Claims
	out := &engine.AttestVerdict{Identity: c.Platform.Identity, Level: c.Level, Firmware: c.Platform.Firmware}
	if c.Anchor != nil {
		out.Anchor = c.Anchor.Name
	}
	for _, p := range v.Problems {
		out.Problems = append(out.Problems, p.String())
	}
	return out, nil
}
