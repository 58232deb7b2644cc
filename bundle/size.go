package bundle

import (
	"crypto/sha256"
	"slices"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// MaxSize is the size in bytes that a bundle of this fleet can have at most.
// set is the key set as planned: all but the keys and digests, which need not
// be known yet. Compare with MaxBundle.
//
// It is exact for bundles that Assemble writes, up to what varies by itself:
// the length of ECDSA signatures and of a timestamp, key_id, the ciphersuite.
// Statements count as plexi's service serves them, on one line.
func MaxSize(set *KeySet, thirdParties int, countersigner Algorithm) int {
	full := *set
	full.Keys = slices.Clone(set.Keys)
	for i := range full.Keys {
		full.Keys[i].SPKI = make([]byte, full.Keys[i].Algorithm.MaxSPKI())
	}
	if full.Epoch > 1 {
		full.Previous = make([]byte, sha256.Size)
	}

	longest := uint8(255)
	// Of the two ciphersuites, bincode's message is the longer one.
	s := &Statement{Ciphersuite: Bincode, Namespace: set.Namespace, Timestamp: strict.MaxInt, Epoch: set.Epoch, KeyID: &longest}
	f := bundleFile{Format: BundleFormat, Artifact: full.Encode(), Transcript: &Head{N: strict.MaxInt}}
	for range thirdParties {
		f.Statements = append(f.Statements, signedFile{JSON: s.Encode([64]byte{})})
	}
	f.Countersignatures = []countersignatureFile{{
		Key: make([]byte, countersigner.MaxSPKI()), Form: FormSignature, Signature: make([]byte, countersigner.MaxSignature()),
	}}
	return len(strict.EncodeJSON(&f))
}
