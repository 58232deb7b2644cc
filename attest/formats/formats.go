// Package formats has the verifiers of all vendors' formats.
package formats

import (
	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/luna"
	"github.com/fleetctl/fleetctl/attest/marvell"
	"github.com/fleetctl/fleetctl/attest/nshield"
	"github.com/fleetctl/fleetctl/attest/pkixevidence"
	"github.com/fleetctl/fleetctl/attest/securosys"
	"github.com/fleetctl/fleetctl/attest/smartcardhsm"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/attest/yubihsm"
	"github.com/fleetctl/fleetctl/attest/yubikey"
)

// verifiers are all verifiers, one on each line.
var verifiers = []attest.Verifier{
	luna.Verifier{},
	marvell.Verifier{},
	nshield.Verifier{},
	pkixevidence.Verifier{},
	securosys.Verifier{},
	smartcardhsm.Verifier{},
	tpm.Verifier{},
	yubihsm.Verifier{},
	yubikey.Verifier{},
}

// All gives a registry with the verifiers of all formats.
func All() *attest.Registry {
	r, err := attest.NewRegistry(verifiers...)
	if err != nil {
		panic(err) // two formats of one name: a test finds it
	}
	return r
}

// Challenged says whether a format has room for a nonce: without one no evidence
// is fresh.
func Challenged(format string) bool { return format == tpm.Format || format == pkixevidence.Format }
