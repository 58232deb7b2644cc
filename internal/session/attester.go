package session

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/formats"
	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// attester asks devices and judges by the operator's policy.
type attester struct{ block *require.Block }

// NewAttester judges by the block of a policy. A rehearsal may have none: then evidence
// must be signed, under no pinned anchor, and the record says that.
func NewAttester(block *require.Block) engine.Attester {
	if block == nil {
		block = &require.Block{Least: attest.VendorSigned, Countersigner: attest.VendorSigned, Anchors: &attest.Anchors{}}
	}
	return &attester{block}
}

// KnowsFormats refuses a plan with an attestation format that this program can't verify,
// or that has no evidence of keys such as the plan's.
func KnowsFormats(p *ceremony.Plan) error {
	for _, d := range p.Devices() {
		if !slices.Contains(require.Formats(), d.Format) {
			return cli.Usage(strict.Errorf("", "%s is named by the attestation format %q, which isn't known", d.Name, d.Format).
				WithHint("known are %s; see\nfleetctl attestation formats", strings.Join(require.Formats(), ", ")))
		}
	}
	return canAttest(p)
}

// canAttest refuses a plan in which a device is to attest a key of a kind of which
// there is no evidence in its format: the ceremony would come to its attestation, and
// no further.
func canAttest(p *ceremony.Plan) error {
	refused := func(name, key string, d *ceremony.Device, alg ceremony.Algorithm) error {
		if d == nil || formats.NoEvidence(d.Format, string(alg)) == "" {
			return nil
		}
		return cli.Usage(strict.Errorf("", "%s is to attest %s by %s, and it is of %s: %s", name, key, d.Format, alg, formats.NoEvidence(d.Format, string(alg))).
			WithHint("plan another algorithm or another device for it"))
	}
	for _, h := range p.HSMs {
		for _, r := range p.Roles {
			if err := refused(h.Name, "its "+r.Name+" key", h.Attestation, r.Algorithm); err != nil {
				return err
			}
		}
	}
	c := p.Countersigner
	return refused(c.Name, "its key", c.Attestation, c.Algorithm)
}

// Collect asks a device, if fleetctl can.
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
