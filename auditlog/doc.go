// Package auditlog verifies, offline and without trusting the log, that
// exact bytes are in a transparency log and that witnesses saw the same log.
//
// Most callers need two functions: [ParsePolicy] reads the keys they pin, and
// [Policy.Verify] checks a leaf with its proof, as read by [ParseProof]:
//
//	policy, err := auditlog.ParsePolicy("policy.txt", policyText)
//	…
//	proof, err := auditlog.ParseProof("bundle.json.tlog-proof", proofText)
//	…
//	in, err := policy.Verify(bundle, proof)
//	if err != nil || !in.Quorum { … }
//
// The formats are those of C2SP: signed-note, tlog-checkpoint,
// tlog-cosignature, tlog-proof and tlog-policy; trees and proofs are those of
// RFC 6962, section 2.1. Where a specification leaves a choice to verifiers,
// the stricter one is taken: what parses has one spelling only, extension
// lines of a checkpoint and the unauthenticated extra line of a proof are
// refused, integers stay below 2^53.
//
// Entries of Rekor logs are read and verified too, see [RekorLog.Verify]; package
// auditlog/rekor submits them.
//
// The package reads no file, no clock and no network, and no input makes it
// panic. The caller judges how old a cosignature may be, and whether its time
// lies in the future. Every refusal is a *strict.Error, and every other result
// is then nil or zero.
package auditlog
