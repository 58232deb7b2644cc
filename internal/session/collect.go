//go:build cgo && unix

package session

import (
	"context"
	"fmt"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/tpmdevice"
)

// collect asks a TPM behind tpm2-pkcs11, where the site file says how.
func collect(ctx context.Context, site *engine.SiteHSM, t engine.Token, pin []byte, q engine.AttestQuestion) (*attest.Evidence, error) {
	token, ok := t.(tpmdevice.Token)
	if q.Format != tpm.Format || site.Attestation == nil || !ok {
		return nil, engine.ErrNoCollector
	}
	s := tpmdevice.Source{TCTI: site.Attestation.TCTI, Store: site.Attestation.Store, Label: site.Token}
	var err error
	if s.AK, err = cli.ReadNamed(site.Attestation.AKCertificates, attest.MaxEvidence); err != nil {
		return nil, err
	}
	if path := site.Attestation.EKCertificates; path != "" {
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
