package auditlog

import (
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// VerifyConsistency checks that the newer tree has the older one's entries,
// in their places, as its first (RFC 6962, section 2.1.2). It verifies no
// signature: see [Policy.VerifyCheckpoint].
//
// Two checkpoints signed by the same log for which this fails are proof that
// the log shows different people different entries: keep both.
func VerifyConsistency(older, newer *Checkpoint, hashes [][32]byte) error {
	if older.Origin != newer.Origin {
		return strict.Errorf(newer.file, "is of log %q, the older checkpoint of %q", strict.Clip(newer.Origin), strict.Clip(older.Origin))
	}
	if newer.Size < older.Size {
		return strict.Errorf(newer.file, "has %d entries, fewer than the %d of the older checkpoint", newer.Size, older.Size)
	}
	for _, c := range []*Checkpoint{older, newer} {
		// RFC 6962 fixes the empty tree's root; a proof from it is empty, so
		// that nothing else would check it.
		if c.Size == 0 && c.Root != [32]byte(rfc6962.DefaultHasher.EmptyRoot()) {
			return strict.Errorf(c.file, "has no entries and yet not the empty tree's root")
		}
	}
	if newer.Size == older.Size && newer.Root != older.Root {
		return strict.Errorf(newer.file, "has %d entries like the older checkpoint, but another root: the log was forked", newer.Size).
			WithHint("Keep both checkpoints: together they are the evidence.")
	}
	err := proof.VerifyConsistency(rfc6962.DefaultHasher, older.Size, newer.Size, slicesOf(hashes), older.Root[:], newer.Root[:])
	if err != nil {
		return strict.Errorf(newer.file, "size %d is not shown to hold the older checkpoint's %d entries", newer.Size, older.Size).
			WithHint("Either the consistency proof is not for these two, or the log was forked: keep both checkpoints.")
	}
	return nil
}

// slicesOf gives the hashes the shape that package merkle takes.
func slicesOf(hashes [][32]byte) [][]byte {
	list := make([][]byte, len(hashes))
	for i := range hashes {
		list[i] = hashes[i][:]
	}
	return list
}
