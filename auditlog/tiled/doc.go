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
// Tessera trusts its directory. If the tree state is missing, it starts a new
// log; it builds upon a damaged tile; and it goes on from an old copy of the
// directory. In each case it signs a checkpoint that contradicts an earlier one,
// after which nobody can trust the log's key again. So before every signature the
// guard demands a consistency proof (RFC 6962, section 2.1.2) from the newest tree
// head that it knows, and writes the new one to disk before the key is used. And
// before Tessera may touch the directory, the directory is checked against itself
// and against the guard, because after a refusal Tessera's state would have moved
// on already.
//
// The guard lies beside the directory, not in it, so that restoring an old copy of
// the directory doesn't restore the guard of that time. Options.Guard puts it
// elsewhere: on another disk or, best, on the medium that carries the key. The
// guard can't notice that directory and guard were restored together; witnesses
// and monitors can.
//
// # The index
//
// An entry that shares a key with one in the log is not added ([Keys]). So the
// index must also be right when it says that a key isn't there: if a damaged index
// said so, an artifact would be logged twice. Therefore every page that is read of
// it is compared with digests that lie with the guard and are bound to the tree,
// and a part that doesn't match is made again from the entries, which must give
// the tree's root. A lookup reads a few pages of 4 KiB, whatever the log's size.
//
// # Limits
//
// One process at a time adds entries; others wait for the lock. Readers never
// wait. The directory must be on a local file system: Tessera's locks and its
// durability (O_SYNC, rename, fsync of the directory) are not for NFS.
package tiled
