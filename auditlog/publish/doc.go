// Package publish puts an artifact into our transparency log and proves that it
// is there: it appends the entry, asks the witnesses of a policy to cosign the
// log's checkpoint, and chooses the checkpoint that satisfies the policy.
//
//	log, err := publish.Open("log", publish.Options{})
//	…
//	entry, err := log.Append(ctx, signer, leaf)
//	…
//	proof, err := entry.Prove(ctx, publish.Witnessing{Policy: policy})
//
// Where too few witnesses have cosigned, Prove gives a [*Short]: the entry is in
// the log, the cosignatures that came are kept, and the same call, made later,
// finishes what is missing.
package publish
