//go:build !cgo || !unix

package session

import (
	"context"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/hsm"
)

// reached returns the token. A build without PKCS#11 has none.
func reached(_ context.Context, t *hsm.Token, _ *engine.SiteHSM) engine.Token { return t }

// collect fails: a build without PKCS#11 can ask no device.
func collect(context.Context, *engine.SiteHSM, engine.Token, []byte, engine.AttestQuestion) (*attest.Evidence, error) {
	return nil, engine.ErrNoCollector
}
