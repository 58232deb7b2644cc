//go:build cgo && unix

package session

import (
	"context"
	"fmt"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/tpmdevice"
)

func sourceOf(site *engine.SiteHSM) tpmdevice.Source {
	return tpmdevice.Source{TCTI: site.TPM.TCTI, Store: site.TPM.Store, Label: site.Token}
}

// reached is a token as the engine uses it: if the site file names its TPM, with the TPM
// too.
func reached(ctx context.Context, t *hsm.Token, site *engine.SiteHSM) engine.Token {
	if site.TPM == nil {
		return t
	}
	return tpmdevice.WithAgreement(ctx, t, sourceOf(site))
}

// collect asks the TPM behind tpm2-pkcs11, if the site file says how.
func collect(ctx context.Context, site *engine.SiteHSM, t engine.Token, pin []byte, q engine.AttestQuestion) (*attest.Evidence, error) {
	token, ok := t.(tpmdevice.Token)
	if q.Format != tpm.Format || site.TPM == nil || !ok {
		return nil, engine.ErrNoCollector
	}
	s := sourceOf(site)
	var err error
	if s.AK, err = cli.ReadNamed(site.TPM.AKCertificates, attest.MaxEvidence); err != nil {
		return nil, err
	}
	if path := site.TPM.EKCertificates; path != "" {
		if s.EK, err = cli.ReadNamed(path, attest.MaxEvidence); err != nil {
			return nil, err
		}
	}
	e, err := tpmdevice.Collect(ctx, s, token, pin, tpmdevice.Question{ID: q.ID, SPKI: q.SPKI, Identity: q.Identity, Nonce: q.Nonce})
	if err != nil {
		return nil, fmt.Errorf("asking the TPM of %s: %w", q.HSM, err)
	}
	return e, nil
}
