//go:build !cgo || !unix

package session

import (
	"context"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/ceremony/engine"
)

// collect asks no device where none can be reached.
func collect(context.Context, *engine.SiteHSM, engine.Token, []byte, engine.AttestQuestion) (*attest.Evidence, error) {
	return nil, engine.ErrNoCollector
}
