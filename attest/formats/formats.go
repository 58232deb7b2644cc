// Package formats has the verifiers of all vendors' formats.
package formats

import (
	"slices"

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
	"github.com/fleetctl/fleetctl/internal/keys"
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

type lack struct {
	format  string
	without []keys.Algorithm
	why     string
}

// lacks are keys of which a format has no evidence.
var lacks = []lack{
	{tpm.Format, []keys.Algorithm{keys.Ed25519, keys.X25519}, "TPMs have no such keys"},
	{marvell.Format, []keys.Algorithm{keys.Ed25519, keys.X25519}, "it has RSA keys and keys on NIST's curves alone"},
	{nshield.Format, []keys.Algorithm{keys.Ed25519, keys.X25519, keys.P384, keys.ECDHP256}, "its evidence is read of RSA keys, and of keys on P-256 that sign"},
	{smartcardhsm.Format, []keys.Algorithm{keys.Ed25519, keys.X25519}, "the card has RSA keys and keys on NIST's and Brainpool's curves alone"},
	{securosys.Format, []keys.Algorithm{keys.X25519}, "its evidence is read of keys that sign, and of P-256"},
}

// NoEvidence says why there is no evidence of a format about a key of an algorithm, so that
// no ceremony can have the key attested; empty where there can be.
func NoEvidence(format, algorithm string) string {
	if alg := keys.Algorithm(algorithm); alg.IsMLDSA() || alg.IsMLKEM() {
		return "no evidence about ML-DSA or ML-KEM keys is read yet, of any format"
	}
	for _, l := range lacks {
		if l.format == format && slices.Contains(l.without, keys.Algorithm(algorithm)) {
			return l.why
		}
	}
	return ""
}

// Lacks says what evidence of a format never shows of a key of an algorithm, though every
// policy demands it: that the key was made inside, can't leave, and does what it is
// there for. Empty where it can.
func Lacks(format, algorithm string) string {
	switch {
	case NoEvidence(format, algorithm) != "":
		return NoEvidence(format, algorithm)
	case format == nshield.Format:
		return "it never shows what a key may do"
	case format == smartcardhsm.Format:
		return "it never shows that a key can't leave"
	case keys.Algorithm(algorithm).Use() == keys.Agree && (format == luna.Format || format == yubikey.Format):
		return "it never shows that a key agrees"
	}
	return ""
}

// Challenged says whether a format has room for a nonce: without one no evidence
// is fresh.
func Challenged(format string) bool { return format == tpm.Format || format == pkixevidence.Format }
