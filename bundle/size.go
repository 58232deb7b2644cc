package bundle

import (
	"crypto/sha256"
	"slices"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// MaxSize is the most bytes that a bundle of this fleet can have; compare it with
// MaxBundle. set is the key set as planned: its keys and digests need not be known
// yet.
//
// Bundles that Assemble writes have exactly this size, except for what varies: the
// length of ECDSA signatures and of a timestamp, key_id, the ciphersuite.
// Statements count on one line, as plexi's service serves them.
//
// additions has for each third party the algorithm of its addition, empty where it
// adds none; countersigners those of the operator's keys that sign.
func MaxSize(set *KeySet, additions []Algorithm, countersigners ...Algorithm) int {
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
	for _, a := range additions {
		one := signedFile{JSON: s.Encode([64]byte{})}
		if a != "" {
			one.Addition = &additionFile{make([]byte, a.MaxSPKI()), make([]byte, a.MaxSignature())}
		}
		f.Statements = append(f.Statements, one)
	}
	for _, a := range countersigners {
		f.Countersignatures = append(f.Countersignatures, countersignatureFile{
			Key: make([]byte, a.MaxSPKI()), Form: FormSignature, Signature: make([]byte, a.MaxSignature()),
		})
	}
	return len(strict.EncodeJSON(&f))
}
