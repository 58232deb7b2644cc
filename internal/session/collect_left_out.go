//go:build !cgo || !unix

package session

import (
	"context"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/hsm"
)

// reached is a token as it is: none can be.
func reached(_ context.Context, t *hsm.Token, _ *engine.SiteHSM) engine.Token { return t }

// collect asks no device where none can be reached.
func collect(context.Context, *engine.SiteHSM, engine.Token, []byte, engine.AttestQuestion) (*attest.Evidence, error) {
	return nil, engine.ErrNoCollector
}
