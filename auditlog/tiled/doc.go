// Package tiled is the embedded transparency log: a directory of C2SP
// tlog-tiles, written by Tessera's POSIX driver, with a guard that never lets
// the log's key sign two histories.
//
// A log is made once with [Init]; then [Open] and [Log.Append] add entries,
// and [Reader.Prove] writes the C2SP tlog-proof that package auditlog
// verifies:
//
//	err := tiled.Init("log", vkey, tiled.Options{})
//	…
//	log, err := tiled.Open("log", signer, tiled.Options{})
//	…
//	at, err := log.Append(ctx, bundle)
//	…
//	proof, err := log.Prove(ctx, at[0].Index)
//
// # Files
//
//	DIR/config          the log's key
//	DIR/index/          which entry was the first with a key; a cache, made again from the entries
//	DIR/log/            Tessera's; may be served as it is (C2SP tlog-tiles)
//	DIR.guard/guard     the newest tree head the key has signed or may have
//	DIR.guard/index-…   what the index consists of, and its digests
//	DIR.guard/lock      held while an entry is added
//
// # The guard
//
// Tessera trusts its directory. It starts a log anew where the tree state is
// missing, builds upon a damaged tile, and goes on from an old copy of the
// directory; each time it signs a checkpoint that contradicts an earlier one,
// and the log's key is burnt. So before every signature the guard demands a
// consistency proof (RFC 6962, section 2.1.2) from the newest tree head it
// knows, and makes the new one durable before the key is used; and before
// Tessera is let at the directory at all, the directory is checked against
// itself and against the guard, since after a refusal Tessera's state would
// have moved on already.
//
// The guard lies beside the directory, not in it, so that a restored or rolled
// back directory doesn't bring back the guard of its time. Options.Guard puts
// it elsewhere: on another disk, or on the medium that carries the key, which
// is where it belongs by its meaning. What the guard can't see is directory
// and guard restored together; that takes witnesses or monitors.
//
// # The index
//
// An entry that shares a key with one in the log is not added ([Keys]). That
// takes an answer that is right also where it is "no": if a damaged index said
// so, an artifact would be logged twice. So what is read of the index is held
// against digests that lie with the guard and are bound to the tree, and what
// doesn't have them is made again from the entries, which must give the tree's
// root. A lookup reads a few pages of 4 KiB, whatever the log's size.
//
// # Limits
//
// One process at a time adds entries; others wait for the lock. Readers never
// wait. The directory must be on a local file system: Tessera's locks and its
// durability (O_SYNC, rename, fsync of the directory) are not for NFS.
package tiled
